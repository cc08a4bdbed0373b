"""The notebook runs from top to bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.tiny import tiny_model

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


@pytest.mark.slow
def test_every_cell_runs_and_shows_what_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEKIT_EXAMPLE_MODEL", str(tiny_model(tmp_path / "model")))
    monkeypatch.setenv("TUNEKIT_EXAMPLE_STEPS", "3")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = _notebook()
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}

    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()

    shown = [_shown(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert "training.learning_rate" in shown[2]
    assert "succeeded" in shown[3]
    assert "held-out" in shown[5]


def test_the_notebook_is_kept_without_output() -> None:
    notebook = _notebook()

    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert all(cell.get("execution_count") is None for cell in notebook.cells)


def _notebook() -> Any:
    read: Any = nbformat.read
    return read(NOTEBOOK, as_version=4)


def _shown(cell: Any) -> str:
    """Give the HTML that a cell shows."""
    return "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
