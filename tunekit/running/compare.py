"""Several runs, read to be compared."""

from __future__ import annotations

from collections.abc import Sequence

from tunekit import store
from tunekit.report.reading import Reading
from tunekit.running.run import get


def readings(runs: Sequence[str]) -> list[Reading]:
    """Bring runs up to date and read what they have left, in the order given; each once.

    Raises:
        RunError: there is no such run.
    """
    ids = dict.fromkeys(get(run).id for run in runs)
    return [Reading.of(store.RunFolder(store.place(each))) for each in ids]
