"""The numbers that a Together job reports: steps, rates and losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Metrics = dict[str, float]


@dataclass(frozen=True)
class Curve:
    """A training of so many steps."""

    request: Mapping[str, Any]
    rows: int
    batch_size: int

    @property
    def epochs(self) -> int:
        """How often every row is seen."""
        return int(self.request.get("n_epochs", 1))

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; the last may be of fewer rows."""
        return max(1, math.ceil(self.rows / self.batch_size))

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.per_epoch * self.epochs

    @property
    def evaluations(self) -> tuple[int, ...]:
        """The steps after which is evaluated; none without a validation file."""
        held_out = self.request.get("validation_file")
        return self._spread(self.request.get("n_evals", 0)) if held_out else ()

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps after which is saved; the last step is among them."""
        return self._spread(self.request.get("n_checkpoints", 1)) or (self.steps,)

    def metrics(self, done: int) -> Iterator[Metrics]:
        """Give what is logged up to a step: an object of training, and one of evaluation if due."""
        for step in range(1, done + 1):
            at = {"train/global_step": float(step)}
            yield {
                **at,
                "train/loss": self._loss(step),
                "train/learning_rate": self.learning_rate(step),
                "train/grad_norm": 0.5 + 1.0 / step,
            }
            if step in self.evaluations:
                yield {**at, "eval/loss": self._loss(step) + 0.1}

    def learning_rate(self, step: int) -> float:
        """Give the rate of a step: linear warm-up, then down by a line or by cosine.

        The cosine is that of transformers' `get_cosine_schedule_with_warmup`:
        0.5 (1 + cos(2 pi cycles progress)).
        """
        peak = float(self.request.get("learning_rate", 1e-5))
        warm = math.ceil(float(self.request.get("warmup_ratio", 0.0)) * self.steps)
        if step <= warm:
            return peak * step / warm
        progress = (step - warm) / max(1, self.steps - warm)
        scheduler: Mapping[str, Any] = self.request.get("lr_scheduler", {})
        told: Mapping[str, Any] = scheduler.get("lr_scheduler_args") or {}
        least = float(told.get("min_lr_ratio") or 0.0)
        share = 1.0 - progress
        if scheduler.get("lr_scheduler_type", "cosine") == "cosine":
            cycles = float(told.get("num_cycles") or 0.5)
            share = 0.5 * (1.0 + math.cos(2.0 * math.pi * cycles * progress))
        return peak * (least + (1.0 - least) * share)

    def _loss(self, step: int) -> float:
        return 0.5 + 1.5 * math.exp(-3.0 * step / self.steps)

    def _spread(self, count: int) -> tuple[int, ...]:
        steps = {math.ceil(self.steps * index / count) for index in range(1, count + 1)}
        return tuple(sorted(steps))
