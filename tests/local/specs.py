"""Small specs over the tiny model, shared by the tests of the local backend."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tunekit as tk
from tests.tiny import tiny_model

WORDS = "river stone light under seven paper tools green market night early train".split()


def chats(count: int, *, seed: int = 0, longest: int = 10) -> list[dict[str, Any]]:
    """Conversations of one turn, no two alike."""
    pick = random.Random(seed)

    def words() -> str:
        return " ".join(pick.choices(WORDS, k=pick.randint(2, longest)))

    return [
        {
            "messages": [
                {"role": "user", "content": f"{number} {words()}"},
                {"role": "assistant", "content": words()},
            ]
        }
        for number in range(count)
    ]


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as a run writes those that it trains on."""
    from tunekit.data import render
    from tunekit.data.recognise import recognise
    from tunekit.data.rows import Where

    path.parent.mkdir(parents=True, exist_ok=True)
    places = ((dict(row), Where(file="f", line=n)) for n, row in enumerate(rows, 1))
    render.write(recognise(places, []).rows, path)
    return path


def losses(run: tk.Run) -> list[float]:
    """Give the training loss of each step."""
    noted = [event.metrics for event in run.events(follow=False) if event.kind == "metrics"]
    return [metrics["loss"] for metrics in noted if "loss" in metrics]


def small(folder: Path, **changes: Any) -> tk.FineTune:
    """A run of a few seconds: ten steps, no evaluation."""
    model = folder / "model"
    if not model.exists():
        tiny_model(model)
    training = {
        "max_steps": 10,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "dtype": "float32",
        "checkpoint_steps": 3,
        **changes.pop("training", {}),
    }
    settings: dict[str, Any] = {
        "model": model,
        "data": chats(40),
        "method": {"type": "lora", "rank": 4},
        "validation": None,
        "evaluation": {"enabled": False},
        "training": training,
    }
    return tk.FineTune(**{**settings, **changes})
