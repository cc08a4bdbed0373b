"""The balance of wanted and unwanted answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Judged, Row

LEAST, MOST = 1.0, 4 / 3
"""Ethayarajh et al., "KTO" (2024), section 4.1: bounds of the weighted ratio."""


class Verdicts:
    """Counts both verdicts."""

    def __init__(self) -> None:
        self._counts: Counter[bool] = Counter()
        self._file = ""

    def add(self, row: Row) -> Iterator[Issue]:
        """Count a row."""
        if isinstance(row, Judged):
            self._counts[row.label] += 1
            self._file = self._file or row.where.file
        yield from ()

    def close(self) -> Iterator[Issue]:
        """Say when one verdict outweighs the other, or is the only one."""
        wanted, unwanted = self._counts[True], self._counts[False]
        if not wanted + unwanted:
            return
        if not wanted or not unwanted:
            yield Issue(
                code="one-verdict",
                severity="warning",
                file=self._file,
                message=f"all {wanted + unwanted:,} answers are "
                f"{'wanted' if wanted else 'unwanted'}",
                fix="add answers of the other kind, or train on the wanted ones with objective sft",
            )
        elif not LEAST <= wanted / unwanted <= MOST:
            yield Issue(
                code="verdict-balance",
                severity="warning",
                file=self._file,
                message=f"{wanted:,} answers are wanted and {unwanted:,} unwanted",
                fix="nothing, where objective.desirable_weight and undesirable_weight are left "
                "alone: KTO then weighs the rarer kind so that wanted to unwanted lies between "
                "1:1 and 4:3; or give more rows of it",
            )
