"""The held-out loss during the training, the best checkpoint, and chats that are mixed in."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tunekit import errors
from tunekit.data import replay
from tunekit.data.render import read
from tunekit.data.rows import Completion, Conversation, Text, Where


def curve(run: tk.Run) -> list[tuple[int, float]]:
    return [
        (event.step, event.metrics["eval_loss"])
        for event in run.events(follow=False)
        if event.kind == "metrics" and "eval_loss" in event.metrics
    ]


@pytest.mark.slow
def test_training_stops_when_the_held_out_loss_rises_and_the_best_weights_are_kept(
    tmp_path: Path,
) -> None:
    spec = small(
        tmp_path,
        data=chats(6, seed=1),
        validation=chats(12, seed=2),
        method="full",
        evaluation={"generations": 0, "forgetting": False},
        training={
            "max_steps": 80,
            "batch_size": 2,
            "learning_rate": 1e-2,
            "checkpoint_steps": 4,
            "early_stopping": 2,
            "scheduler": "constant",
        },
    )
    run = tk.run(spec, progress=False)
    points = curve(run)
    best = min(points, key=lambda point: point[1])
    assert best[0] < points[-1][0] < 80
    assert [step for step, _ in points] == list(range(4, points[-1][0] + 1, 4))
    assert run.evaluation is not None
    assert run.evaluation.tuned.loss == pytest.approx(best[1], abs=1e-6)
    said = " ".join(event.message for event in run.events(follow=False) if event.kind == "log")
    assert "has not fallen for 2 checkpoints" in said
    assert f"back to step {best[0]}" in said
    assert run.evaluate().tuned.loss == pytest.approx(best[1], abs=1e-5)


@pytest.mark.slow
def test_rows_seen_again_are_watched_without_stopping(tmp_path: Path) -> None:
    evaluation = {"generations": 0, "forgetting": False, "overfitting": False}
    held_out = {"validation": chats(20, seed=2), "evaluation": evaluation}
    again = tk.run(small(tmp_path, **held_out, training={"max_steps": 21}), progress=False)
    assert [step for step, _ in curve(again)] == [3, 6, 9, 12, 15, 18, 21]
    once = tk.run(small(tmp_path, **held_out, training={"max_steps": 10}), progress=False)
    assert curve(once) == []


def test_stopping_early_needs_held_out_rows(tmp_path: Path) -> None:
    plan = tk.plan(small(tmp_path, training={"early_stopping": 2}), "local")
    assert [change.field for change in plan.unsupported] == ["training.early_stopping"]
    with pytest.raises(errors.UnsupportedError, match="no held-out rows to stop by"):
        plan.require()


@pytest.mark.slow
def test_general_chats_are_rows_like_others(tmp_path: Path) -> None:
    spec = small(tmp_path, training={"max_steps": 2, "replay": {"ratio": 0.25}})
    run = tk.run(spec, progress=False)
    rows = list(read(run.folder / "data" / "train.jsonl"))
    prompts = {prompt for prompt, _ in replay.chats()}
    mixed = [
        n
        for n, row in enumerate(rows)
        if isinstance(row, Conversation) and row.messages[0].content in prompts
    ]
    assert (len(rows), len(mixed)) == (50, 10)
    # Spread evenly: no stretch is without one.
    assert max(b - a for a, b in itertools.pairwise(mixed)) == 5
    assert run.plan.used("training.replay") == "10 rows"


@pytest.mark.slow
def test_a_base_may_answer_general_prompts_itself(tmp_path: Path) -> None:
    spec = small(tmp_path, training={"max_steps": 2, "replay": {"source": "self", "ratio": 0.2}})
    run = tk.run(spec, progress=False)
    said = [event.message for event in run.events(follow=False) if event.kind == "log"]
    assert any("8 answers of the base to general prompts" in line for line in said)
    assert run.plan.used("training.replay") == "8 rows"
    assert len(list(read(run.folder / "data" / "train.jsonl"))) == 40


@pytest.mark.parametrize("backend", ["together", "fireworks"])
def test_no_service_lets_the_base_answer_before_it_trains(tmp_path: Path, backend: str) -> None:
    small(tmp_path)
    spec = tk.FineTune(
        model="Qwen/Qwen3-0.6B",
        data=chats(40),
        training={"replay": "self"},
    )
    fields = {change.field for change in tk.plan(spec, backend).unsupported}
    assert "training.replay" in fields
    mixed = tk.plan(
        tk.FineTune(model=spec.model, data=chats(40), training={"replay": "general"}), backend
    )
    assert mixed.used("training.replay") == "4 rows"


def test_pairs_take_no_chats(tmp_path: Path) -> None:
    pairs = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no"} for n in range(20)]
    spec = small(tmp_path, data=pairs, objective="dpo", training={"replay": "general"})
    refused = tk.plan(spec, "local").unsupported
    assert {change.field for change in refused} == {"training.replay"}


@pytest.mark.parametrize("kind", ["completion", "text"])
def test_chats_take_the_shape_of_the_rows(kind: str) -> None:
    where = Where(file="x", line=1)
    like: Any = Text(text="a", where=where)
    if kind == "completion":
        like = Completion(prompt="a", completion="b", where=where)
    rows = replay.mixed([like] * 10, 0.3)
    assert [row.kind for row in rows] == [kind] * 13
    assert sum(row.where.file == replay.FILE for row in rows) == 3
    assert json.loads(rows[-1].json_line())["kind"] == kind
