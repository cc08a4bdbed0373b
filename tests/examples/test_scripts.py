"""Every example runs as a user would run it, with a model that is small enough for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import tiny_model
from tunekit.running.run import get

EXAMPLES = Path(__file__).parents[2] / "examples"


def script(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_quickstart_trains_and_compares(tmp_path: Path) -> None:
    said = script("quickstart.py", str(tiny_model(tmp_path / "model")), "3")

    run = get("quickstart")
    assert run.id in said
    assert run.evaluation is not None
    assert f"held-out loss: {run.evaluation.base.loss:.2f} before" in said
    assert run.adapter.describe().rank == 16


@pytest.mark.slow
def test_preferences_reports_how_often_the_better_answer_wins(tmp_path: Path) -> None:
    said = script("preferences.py", str(tiny_model(tmp_path / "model")), "3")

    assert "step 3: the better answer is preferred in" in said
    assert get("preferences").spec.objective.type == "dpo"


@pytest.mark.slow
def test_rewards_learns_from_functions_in_the_same_file(tmp_path: Path) -> None:
    said = script("rewards.py", str(tiny_model(tmp_path / "model")), "2", "48")

    assert "step 2: an answer earns" in said
    comparison = get("rewards").evaluation
    assert comparison is not None
    assert comparison.differences[0].name == "reward"


@pytest.mark.slow
def test_one_spec_runs_in_three_places_and_leaves_three_adapters() -> None:
    said = script("switch_backend.py")

    parameters = get("switch").adapter.describe().parameters
    for name in ("local", "together", "fireworks"):
        assert f"{name}: PeftModelForCausalLM with {parameters:,} numbers" in said


def test_own_backend_plans_and_runs() -> None:
    said = script("own_backend.py")

    assert "workshop" in said
    assert "succeeded" in said


def test_own_backend_fits_on_a_screen() -> None:
    assert len((EXAMPLES / "own_backend.py").read_text().splitlines()) < 80
