"""`learning_rate: sweep` tries three rates, keeps what it found, and trains with the best."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tests.local.test_methods import PAIRS
from tunekit import errors
from tunekit.backends.local.sweep import _best

pytestmark = pytest.mark.slow


def sweeping(folder: Path, **changes: Any) -> tk.FineTune:
    training = {"max_steps": 60, "learning_rate": "sweep", **changes.pop("training", {})}
    return small(folder, **{"validation": 0.25, **changes}, training=training)


def kept(run: tk.Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "job" / "sweep.json").read_text())
    return found


def said(run: tk.Run) -> list[str]:
    lines = [event.message for event in run.events(follow=False) if event.kind == "log"]
    return [line for line in lines if "steps: " in line]


def peak(run: tk.Run) -> float:
    return max(
        event.metrics["learning_rate"]
        for event in run.events(follow=False)
        if event.kind == "metrics" and "learning_rate" in event.metrics
    )


def test_the_best_of_three_rates_is_trained_to_the_end_and_none_is_tried_twice(
    tmp_path: Path,
) -> None:
    run = tk.submit(sweeping(tmp_path))
    for event in run.events():
        if event.kind == "log" and "steps: " in event.message:
            break
    os.kill(json.loads((run.folder / "job" / "worker.json").read_text())["pid"], signal.SIGKILL)
    with pytest.raises(errors.RunFailed, match="killed"):
        run.wait(timeout=60)

    run.resume().wait(timeout=300)

    found, middle = kept(run), run.plan.request["trainer"]["learning_rate"]
    rates = [each["learning_rate"] for each in found["results"]]
    assert [rate / middle for rate in rates] == pytest.approx([1 / 3, 1, 3], rel=0.05)
    losses = [each["loss"] for each in found["results"]]
    assert len(set(losses)) == len(said(run)) == 3
    assert found["chosen"] == rates[losses.index(min(losses))]
    assert peak(run) == pytest.approx(found["chosen"], rel=0.01)
    assert not list((run.folder / "job" / "sweep").glob("*/checkpoints"))


@pytest.mark.long
def test_a_short_run_is_the_run_that_its_rate_and_steps_ask_for(tmp_path: Path) -> None:
    # With as many steps as there are rows for, the short runs see every row, as a plain run does.
    spec = sweeping(tmp_path, data=chats(27), training={"max_steps": 60, "batch_size": 4})
    run = tk.run(spec, progress=False)
    tried = kept(run)["results"][1]
    plain = small(
        tmp_path,
        data=chats(27),
        validation=0.25,
        training={"max_steps": 6, "learning_rate": tried["learning_rate"]},
        evaluation={"generations": 0},
    )

    alone = tk.run(plain, progress=False).evaluation

    assert alone is not None and alone.tuned.loss is not None
    assert tried["loss"] == pytest.approx(alone.tuned.loss, rel=0.02)


@pytest.mark.long
@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_preferences_are_judged_by_the_loss_of_their_objective(
    tmp_path: Path, objective: str
) -> None:
    run = tk.run(sweeping(tmp_path, data=PAIRS, objective=objective), progress=False)

    losses = [each["loss"] for each in kept(run)["results"]]
    assert len(set(losses)) == 3
    if objective == "dpo":
        # Close to log 2, where DPO begins.
        assert all(abs(loss - math.log(2)) < 0.2 for loss in losses)


def test_when_every_rate_diverges_the_run_says_which_were_tried() -> None:
    results: list[dict[str, Any]] = [{"learning_rate": rate, "loss": None} for rate in (1e-3, 3e-3)]
    with pytest.raises(errors.Diverged, match=r"0\.001, 0\.003"):
        _best(results)
    assert _best([*results, {"learning_rate": 1e-4, "loss": 2.0}]) == 1e-4
