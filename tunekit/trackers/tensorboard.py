"""TensorBoard: event files in the run folder; `tensorboard --logdir` over all runs shows them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from tunekit.events import JobState
from tunekit.trackers.tracker import Followed


class TensorBoard:
    """Write scalars by TensorBoard's own writer, which needs neither torch nor TensorFlow."""

    package: ClassVar[str] = "tensorboard"
    module: ClassVar[str] = "tensorboard"

    def __init__(self) -> None:
        self._writer: Any = None

    def start(self, run: Followed) -> str:
        """Open a new event file; the files of a folder are one run."""
        summary = import_module("tensorboard.summary")
        self._writer = summary.Writer(str(run.folder / "tensorboard"))
        return "tensorboard"

    def log(self, step: int, metrics: Mapping[str, float], *, time: float) -> None:
        """Write a point for each number."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step=step, wall_time=time)
        self._writer.flush()

    def end(self, state: JobState) -> None:
        """Close the file."""
        self._writer.close()
