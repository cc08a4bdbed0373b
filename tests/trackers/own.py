"""Trackers of somebody else's: they write down what they are told, or break."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tunekit.events import JobState
from tunekit.trackers.tracker import Followed


class Notebook:
    """Write one JSON a line beside the run folder, so that several processes can be told apart."""

    package: ClassVar[str] = ""
    module: ClassVar[str] = ""

    def __init__(self) -> None:
        self._file: Any = None

    def start(self, run: Followed) -> str:
        self._file = run.folder.parent / f"{run.id}.notes"
        self._note("start", run.resume, run.name, dict(run.settings))
        return f"page of {run.id}"

    def log(self, step: int, metrics: Mapping[str, float], *, time: float) -> None:
        self._note("log", step, dict(metrics), time > 1e9)

    def end(self, state: JobState) -> None:
        self._note("end", state.value)

    def _note(self, *what: Any) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps(what) + "\n")


class Absent(Notebook):
    """Need a package that nobody has."""

    package: ClassVar[str] = "no-such-tracker"
    module: ClassVar[str] = "no_such_tracker"


class BreaksAtStart(Notebook):
    """Lack its key."""

    def start(self, run: Followed) -> str:
        raise ConnectionError("no key")


class BreaksAtLog(Notebook):
    """Take two steps and no more."""

    def log(self, step: int, metrics: Mapping[str, float], *, time: float) -> None:
        if step > 2:
            raise TimeoutError("the service is down")
        super().log(step, metrics, time=time)


class BreaksAtEnd(Notebook):
    """Fail to say goodbye."""

    def end(self, state: JobState) -> None:
        raise OSError("gone")
