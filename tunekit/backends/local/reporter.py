"""What the worker says while it trains, and how it is stopped."""

from __future__ import annotations

import math
import signal
import threading
import time
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from tunekit.backends.local.checkpoints import commit
from tunekit.backends.local.failure import Stopped
from tunekit.backends.local.job import Job
from tunekit.errors import Diverged
from tunekit.events import CheckpointEvent, JobState, MetricsEvent

_TIMES = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Write TRL's logs as events, seal checkpoints, stop on request or on a broken loss."""

    listens: bool = True
    """Whether SIGTERM is for this training alone."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._signal = ""
        self._previous: Any = None
        self._mark = (0.0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say how many steps there are, and listen for SIGTERM."""
        self._mark = (time.perf_counter(), 0.0)
        if state.is_world_process_zero:
            self._metrics(state.global_step, {"max_steps": float(state.max_steps)})
        if self.listens and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._heard)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give the signal back; a run that was stopped ends here."""
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
        if self._job.cancelled:
            raise Stopped(JobState.CANCELLED)
        if self._signal:
            reason = (
                f"interrupted by {self._signal} after step {state.global_step}; its state is saved"
            )
            raise Stopped(JobState.FAILED, reason)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop after this step when somebody asked for it; every process alike."""
        if agreed(bool(self._signal) or self._job.cancelled):
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Pass numbers on; a loss that is not finite ends the run."""
        numbers = {
            name: float(value)
            for name, value in (logs or {}).items()
            if isinstance(value, (int, float)) and name not in _TIMES
        }
        loss = numbers.get("loss")
        if loss is not None and not math.isfinite(loss):
            raise Diverged(
                f"the loss is {loss} at step {state.global_step}; "
                f"lower training.learning_rate (it is {numbers.get('learning_rate', 0):.1e} here)"
            )
        if state.is_world_process_zero and numbers:
            self._metrics(state.global_step, {**numbers, **self._speed(numbers), **_memory()})

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seal the checkpoint that has just been written."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        commit(folder)
        self._job.emit(CheckpointEvent(step=state.global_step, path=str(folder)))

    def interrupt(self, name: str) -> None:
        """Stop after the step at hand, for a signal of this name."""
        self._signal = name

    def _heard(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; a second one ends the process at once."""
        self.interrupt(signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)

    def _speed(self, numbers: dict[str, float]) -> dict[str, float]:
        total = numbers.get("num_tokens")
        if total is None:
            return {}
        then, before = self._mark
        self._mark = (time.perf_counter(), total)
        return {"tokens_per_second": (total - before) / max(1e-9, self._mark[0] - then)}

    def _metrics(self, step: int, metrics: dict[str, float]) -> None:
        self._job.emit(MetricsEvent(step=step, metrics=metrics))


def _memory() -> dict[str, float]:
    """Give the most that the GPU has held so far, or what this process holds now, in bytes."""
    import torch

    if torch.cuda.is_available():
        return {"memory_bytes": float(torch.cuda.max_memory_allocated())}
    # A package that accelerate brings, without types of its own.
    psutil: Any = import_module("psutil")
    return {"memory_bytes": float(psutil.Process().memory_info().rss)}


def agreed(flag: bool) -> bool:
    """Agree over all processes, so that none waits for one that has stopped."""
    import torch
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_initialized():
        return flag
    device = "cuda" if torch.cuda.is_available() and dist.get_backend() == "nccl" else "cpu"
    vote = torch.tensor([float(flag)], device=device)
    dist.all_reduce(vote, op=dist.ReduceOp.MAX)
    return bool(vote.item() > 0)
