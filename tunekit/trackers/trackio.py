"""trackio: a local database, or the Space that `TRACKIO_SPACE_ID` names."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from tunekit.events import JobState
from tunekit.trackers.tracker import PROJECT, Followed


class Trackio:
    """Send figures by trackio."""

    package: ClassVar[str] = "trackio"
    module: ClassVar[str] = "trackio"

    def __init__(self) -> None:
        self._run: Any = None

    def start(self, run: Followed) -> str:
        """Begin a run, or go on with it."""
        trackio: Any = import_module("trackio")
        with _quiet():
            self._run = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=run.id,
                config=dict(run.settings),
                resume="allow",
                embed=False,
                # Its figures of the machine are those of this process, which trains nothing.
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return run.id

    def log(self, step: int, metrics: Mapping[str, float], *, time: float) -> None:
        """Send the numbers of a step."""
        self._run.log(dict(metrics), step=step)

    def end(self, state: JobState) -> None:
        """Send what is left."""
        trackio: Any = import_module("trackio")
        with _quiet():
            if trackio.context_vars.current_run.get() is self._run:
                # Else trackio would finish it again, and say so on standard output, at exit.
                trackio.finish()
            else:
                self._run.finish()


def _quiet() -> contextlib.AbstractContextManager[Any]:
    """Let trackio say what it has to say beside the results."""
    return contextlib.redirect_stdout(sys.stderr)
