"""Trackers get what a run says, once, from whichever process waits, and never stop it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tunekit as tk
from tests.cli.specs import spec_file
from tunekit import errors
from tunekit.cli.app import app
from tunekit.testing import FakeBackend
from tunekit.testing.providers.together import LoopbackTogether

NOTEBOOK = "tests.trackers.own:Notebook"
ROOT = Path(__file__).parents[2]
SPEC = tk.FineTune(
    model="org/a-model",
    data=[{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(40)],
    training={"learning_rate": 1e-3},
)


def notes(run: tk.Run) -> list[list[Any]]:
    file = run.folder.parent / f"{run.id}.notes"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def steps(run: tk.Run) -> list[int]:
    return [note[1] for note in notes(run) if note[0] == "log" and "train/loss" in note[2]]


def test_a_tracker_is_told_settings_steps_figures_and_the_end() -> None:
    run = tk.run(SPEC, FakeBackend(), trackers=[NOTEBOOK], progress=False)

    start, *logs, end = notes(run)
    assert start[:3] == ["start", "", run.id]
    assert start[3]["training.learning_rate"] == "0.001"
    assert start[3]["training.seed"] == "42"
    assert [note[1] for note in logs] == [1, 2, 3, 3]
    assert logs[0][2]["train/loss"] == pytest.approx(2 - 1 / 3)
    assert "train/max_steps" not in logs[0][2]
    assert logs[3][2]["evaluation/loss/base"] == 2.0
    assert logs[3][2]["evaluation/loss/tuned"] == 1.0
    assert all(note[3] for note in logs)
    assert end == ["end", "succeeded"]


def test_a_failed_and_a_cancelled_run_end_as_such() -> None:
    failed = tk.submit(SPEC, FakeBackend(outcome="failed"), trackers=[NOTEBOOK])
    cancelled = tk.submit(SPEC, FakeBackend(steps=1000), trackers=[NOTEBOOK])
    cancelled.cancel()
    for run in (failed, cancelled):
        with pytest.raises(errors.RunError):
            run.wait()

    assert notes(failed)[-1] == ["end", "failed"]
    assert notes(cancelled)[-1] == ["end", "cancelled"]


def test_another_process_goes_on_behind_the_last_event_in_the_same_run() -> None:
    run = tk.submit(SPEC, FakeBackend(steps=4), trackers=[NOTEBOOK])
    stream = iter(run.events())
    for event in stream:
        if getattr(event, "step", 0) == 2:
            break
    del stream
    assert steps(run) == [1, 2]
    code = f"import tunekit; tunekit.get({run.id!r}).wait()"
    # The first process holds the trackers as long as it lives.
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    assert [note[0] for note in notes(run)].count("start") == 1
    del run._trackers

    again = tk.get(run.id)

    assert steps(again) == [1, 2, 3, 4]
    starts = [note[1] for note in notes(again) if note[0] == "start"]
    assert starts == ["", f"page of {run.id}"]
    assert notes(again)[-1] == ["end", "succeeded"]


def test_a_process_that_stops_waiting_closes_and_another_goes_on() -> None:
    run = tk.submit(SPEC, FakeBackend(steps=4), trackers=[NOTEBOOK])
    with pytest.raises(errors.RunTimeout):
        run.wait(timeout=0)
    code = f"import tunekit; tunekit.get({run.id!r}).wait()"

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)

    assert steps(run) == [1, 2, 3, 4]
    assert notes(run)[-1] == ["end", "succeeded"]
    before = notes(run)
    tk.get(run.id).wait()
    assert notes(run) == before


def test_a_run_that_is_resumed_goes_on_in_the_same_tracker_run() -> None:
    run = tk.submit(SPEC, FakeBackend(outcome="failed"), trackers=[NOTEBOOK])
    with pytest.raises(errors.RunFailed):
        run.wait()

    run.resume().wait()

    ends = [note[1] for note in notes(run) if note[0] == "end"]
    assert ends == ["failed", "succeeded"]
    assert [note[1] for note in notes(run) if note[0] == "start"][1] == f"page of {run.id}"


@pytest.mark.parametrize("kind", ["BreaksAtStart", "BreaksAtLog", "BreaksAtEnd"])
def test_a_tracker_that_fails_is_warned_about_once_and_the_run_goes_on(kind: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = tk.run(
            SPEC,
            FakeBackend(steps=5),
            trackers=[f"tests.trackers.own:{kind}", NOTEBOOK],
            progress=False,
        )

    assert run.state is tk.JobState.SUCCEEDED
    (told,) = (str(warning.message) for warning in caught)
    assert told.startswith(f"{run.id} is no longer followed by tests.trackers.own:{kind}: ")
    assert ["end", "succeeded"] in notes(run)


def test_what_cannot_be_had_is_told_before_anything_starts() -> None:
    with pytest.raises(
        errors.SpecError, match="no tracker 'tensorbord'; did you mean 'tensorboard'"
    ):
        tk.submit(SPEC, FakeBackend(), trackers=["tensorbord"])
    with pytest.raises(errors.MissingExtra, match="pip install no-such-tracker"):
        tk.submit(SPEC, FakeBackend(), trackers=["tests.trackers.own:Absent"])
    with pytest.raises(errors.SpecError, match="cannot import the tracker"):
        tk.submit(SPEC, FakeBackend(), trackers=["tests.trackers.own:Nobody"])
    assert tk.runs() == []


def test_a_service_is_followed_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackTogether() as server:
        monkeypatch.setenv("TOGETHER_API_KEY", server.settings.key)
        run = tk.run(
            SPEC.model_copy(update={"model": "Qwen/Qwen3-0.6B"}),
            tk.Together(base_url=server.url),
            max_cost=float("inf"),
            trackers=[NOTEBOOK],
            progress=False,
        )

    told = [event for event in run.events(follow=False) if event.kind == "metrics"]
    losses = {event.step: event.metrics["loss"] for event in told if "loss" in event.metrics}
    heard = {n[1]: n[2]["train/loss"] for n in notes(run) if n[0] == "log" and "train/loss" in n[2]}
    assert heard == losses
    assert len(heard) > 1
    assert notes(run)[-1] == ["end", "succeeded"]


def test_asynchronous_runs_are_followed_too() -> None:
    run = asyncio.run(tk.arun(SPEC, FakeBackend(), trackers=[NOTEBOOK]))

    assert steps(run) == [1, 2, 3]


def test_the_command_line_takes_trackers(tmp_path: Path) -> None:
    path = str(spec_file(tmp_path))

    result = CliRunner().invoke(app, ["run", path, "--track", NOTEBOOK, "--json"])

    run = tk.get(json.loads(result.stdout)["id"])
    assert steps(run) == [1, 2, 3]
    assert CliRunner().invoke(app, ["run", path, "--track", "no"]).exit_code == 2
