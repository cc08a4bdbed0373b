"""The metrics of a job that nobody trained: a loss that falls, a learning rate as scheduled."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TOKENS_PER_ROW = 512


@dataclass(frozen=True)
class Training:
    """What the length and the course of a training depend on."""

    rows: int
    batch: int
    epochs: int
    rate: float
    warmup: int
    scheduler: Mapping[str, Any]
    evaluates: bool

    @property
    def steps(self) -> int:
        """Optimizer steps in all; the last batch of an epoch may be smaller."""
        return self.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return max(1, math.ceil(self.rows / self.batch))

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 1.

        Linear warm-up, then constant, or linear or half a cosine down to `minLrRatio`.
        """
        if step <= self.warmup:
            return self.rate * step / self.warmup
        name = next(iter(self.scheduler), "constant")
        if name == "constant":
            return self.rate
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        left = 1 - done if name == "linear" else (1 + math.cos(math.pi * done)) / 2
        least = float(self.scheduler[name].get("minLrRatio", 0.0))
        return self.rate * (least + (1 - least) * left)


def lines(training: Training, *, steps: int, nested: bool) -> bytes:
    """Write the first steps as JSON lines.

    Two shapes have been seen in public code that reads such files: flat rows, and older ones
    with the values under `data`.
    """
    rows = (_nested(row) if nested else row for row in _rows(training, steps))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _rows(training: Training, steps: int) -> Iterator[dict[str, Any]]:
    for step in range(1, min(steps, training.steps) + 1):
        loss = round(1.0 + 1.5 * math.exp(-3 * step / training.steps), 6)
        epoch = (step - 1) // training.steps_per_epoch
        yield {
            "step": step,
            "train/step": step,
            "train/epoch": epoch,
            "train/loss": loss,
            "train/lr": training.rate_at(step),
            "train/grad_norm": round(loss / 2, 6),
            "train/total_tokens": step * training.batch * _TOKENS_PER_ROW,
        }
        if training.evaluates and step % training.steps_per_epoch == 0:
            yield {"step": step, "eval/epoch": epoch, "eval/loss": round(loss + 0.1, 6)}


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in row.items() if name not in ("step", "train/step")}
    return {"timestamp": 1785578400.0 + row["step"], "step": row["step"], "data": data}
