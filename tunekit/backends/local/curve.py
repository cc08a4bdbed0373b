"""The held-out loss while a model is trained: logged, and where asked, the end of the training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tunekit.backends.local.job import Job
from tunekit.backends.local.reporter import agreed
from tunekit.data.tokens import Tokens
from tunekit.evaluation.forward import score
from tunekit.evaluation.measure import measurement, undisturbed
from tunekit.events import LogEvent, MetricsEvent
from tunekit.files import write_atomic

_SMALLEST = 0.001
"""A loss that is lower by less counts as no lower."""


class Curve(TrainerCallback):  # type: ignore[misc]
    """Measure the held-out loss at every checkpoint, keep the best weights, stop when it rises."""

    def __init__(self, job: Job, rows: Sequence[Tokens], *, patience: int | None) -> None:
        self._job = job
        self._rows = rows
        self._patience = patience
        self._best = job.path / "best.safetensors"
        self._record = job.path / "curve.json"
        self._points: list[tuple[int, float]] = []
        if self._record.exists():
            self._points = [tuple(point) for point in json.loads(self._record.read_bytes())]

    @property
    def losses(self) -> list[float]:
        """The held-out loss at every checkpoint, in order."""
        return [loss for _, loss in self._points]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget points beyond the checkpoint that the training goes on from."""
        self._points = [point for point in self._points if point[0] <= state.global_step]

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure; every process learns whether to stop."""
        stop = False
        if state.is_world_process_zero and state.global_step not in dict(self._points):
            stop = self._measured(kwargs["model"], state.global_step)
        if agreed(stop):
            control.should_training_stop = True

    def restore(self, model: Any) -> None:
        """Give the model the weights with the lowest held-out loss, where these are kept."""
        if self._patience is None or not self._best.exists():
            return
        step, loss = min(self._points, key=lambda point: point[1])
        if step != self._points[-1][0]:
            _load(model, self._best)
            self._job.emit(LogEvent(message=f"back to step {step}, held-out loss {loss:.4f}"))

    def _measured(self, model: Any, step: int) -> bool:
        """Log the loss at a step; says whether it has not fallen for too long."""
        with undisturbed(model):
            loss = measurement(score(model, self._rows)).loss
        if loss is None:
            return False
        lowest = min(self.losses, default=float("inf"))
        self._points.append((step, loss))
        self._job.emit(MetricsEvent(step=step, metrics={"eval_loss": loss}))
        write_atomic(self._record, json.dumps(self._points))
        if self._patience is None:
            return False
        if loss < lowest:
            _save(model, self._best)
        since = len(self._points) - 1 - _best(self.losses)
        if since < self._patience:
            return False
        message = f"the held-out loss has not fallen for {since} checkpoints; stopping"
        self._job.emit(LogEvent(message=message))
        return True


def _best(losses: Sequence[float]) -> int:
    """Give the place of the last loss that was lower than all before by more than nothing."""
    place, lowest = 0, float("inf")
    for number, loss in enumerate(losses):
        if loss < lowest - _SMALLEST:
            place, lowest = number, loss
    return place


def _learning(model: Any) -> dict[str, Any]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _save(model: Any, file: Path) -> None:
    library: Any = import_module("safetensors.torch")
    part = file.with_suffix(".part")
    weights = {name: weight.detach().contiguous() for name, weight in _learning(model).items()}
    library.save_file(weights, part)
    part.replace(file)


def _load(model: Any, file: Path) -> None:
    import torch

    library: Any = import_module("safetensors.torch")
    weights: dict[str, Any] = library.load_file(file)
    with torch.no_grad():
        for name, weight in _learning(model).items():
            weight.copy_(weights[name])
