"""What a tracker is: three verbs, called by whoever waits for the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from tunekit.events import JobState

PROJECT = "tunekit"
"""Where runs go when the tracker's own settings name no project."""


@dataclass(frozen=True)
class Followed:
    """The run, as a tracker needs to know it."""

    id: str
    name: str
    folder: Path
    settings: Mapping[str, str]
    """What was set and chosen, by its dotted place in the spec; never a secret."""
    resume: str = ""
    """What `start` gave to the process before us; empty for the first."""


class Tracker(Protocol):
    """Send a run's figures somewhere.

    Whatever it raises is a warning to the user, and the run goes on without it. It keeps its keys
    to itself: nothing it writes may bring one into the run folder.
    """

    package: ClassVar[str]
    """What must be installed, as pip calls it; empty when nothing must."""
    module: ClassVar[str]
    """What must be there to import."""

    def start(self, run: Followed) -> str:
        """Begin, or go on with what `run.resume` names; gives what the next process needs."""
        ...

    def log(self, step: int, metrics: Mapping[str, float], *, time: float) -> None:
        """Take the numbers of a step; `time` is in seconds since 1970.

        A step may come twice, after a process that was following has died.
        """
        ...

    def end(self, state: JobState) -> None:
        """Close; a state that is not terminal says that we only stop watching."""
        ...
