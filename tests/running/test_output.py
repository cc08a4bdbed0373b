"""The result is copied to where `output.folder` asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

import tunekit as tk
from tunekit import errors
from tunekit.testing import FakeBackend

ROWS = [{"prompt": str(number), "completion": "yes"} for number in range(30)]


def _spec(folder: str) -> tk.FineTune:
    return tk.FineTune(model="org/a-model", data=ROWS, output={"folder": folder})


def test_the_result_is_copied_to_the_folder_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    run = tk.submit(_spec("result"), FakeBackend())
    monkeypatch.chdir(elsewhere)

    run.wait()

    copied = {path.name for path in (tmp_path / "result").iterdir()}
    assert copied == {path.name for path in (run.folder / "adapter").iterdir()}
    assert tk.Adapter.open(tmp_path / "result").kind == "adapter"
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(errors.SpecError, match=r"output\.folder: .* is not an empty folder"):
        tk.submit(_spec(str(tmp_path)), FakeBackend())

    assert tk.runs() == []
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_over_rows_in_memory_can_be_run_again_from_its_folder() -> None:
    run = tk.submit(tk.FineTune(model="org/a-model", data=ROWS), FakeBackend())

    again = tk.submit(tk.get(run.id).spec, FakeBackend())

    for name in ("train.jsonl", "validation.jsonl"):
        first, second = ((each.folder / "data" / name).read_bytes() for each in (run, again))
        assert first == second


def test_what_is_odd_in_the_data_shows_in_the_plan_of_any_backend() -> None:
    rows = [{**row, "note": "not read"} for row in ROWS[:10]]

    plan = tk.plan(
        tk.FineTune(
            model="org/a-model",
            data=tk.Data(source=rows, checks={"few-rows": "off", "few-steps": "off"}),
        ),
        FakeBackend(),
    )

    keys, few = plan.warnings
    assert "<rows>:1: these keys are not read: note (ignored-keys)" in keys
    assert "10 rows are too few to hold any out" in few
    assert "ignored-keys" in str(plan)


def test_the_files_of_a_run_are_read_again_without_a_warning() -> None:
    data = tk.Data(source=ROWS, checks={"few-rows": "off", "few-steps": "off"})
    run = tk.submit(tk.FineTune(model="org/a-model", data=data), FakeBackend())

    assert tk.plan(run.spec, FakeBackend()).warnings == ()


def test_every_finding_about_the_data_is_in_the_folder_of_the_run() -> None:
    rows = [*ROWS, *ROWS[:6]]
    data = tk.Data(source=rows, checks={"duplicate-row": "warning"})
    run = tk.submit(tk.FineTune(model="org/a-model", data=data, validation=None), FakeBackend())

    lines = (run.folder / "data" / "issues.jsonl").read_text().splitlines()
    assert sum('"duplicate-row"' in line for line in lines) == 6
