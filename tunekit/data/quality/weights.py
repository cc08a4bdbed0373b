"""Weights beside some rows and not beside others."""

from __future__ import annotations

from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Row, Where, said_weight


class Weights:
    """Counts the rows that say how much they count, and keeps the first of either kind."""

    def __init__(self) -> None:
        self._said: list[Where] = []
        self._unsaid: list[Where] = []
        self._counts = [0, 0]
        self._uneven = False

    def add(self, row: Row) -> Iterator[Issue]:
        """Take the weight of a row, if it has one."""
        said = said_weight(row)
        first = self._unsaid if said is None else self._said
        if not first:
            first.append(row.where)
        self._counts[said is not None] += 1
        self._uneven = self._uneven or said not in (None, 1)
        yield from ()

    def close(self) -> Iterator[Issue]:
        """Name a row without a weight, where others weigh more or less than 1."""
        if not (self._uneven and self._unsaid):
            return
        without, with_one = self._counts
        yield Issue(
            code="partial-weights",
            severity="warning",
            file=self._unsaid[0].file,
            message=f"{self._unsaid[0]} is the first of {without:,} rows without a weight; "
            f"{with_one:,} have one, the first at {self._said[0]}",
            fix="they count as 1; write a weight beside every row, or beside none",
        )
