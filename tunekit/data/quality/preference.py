"""Pairs that teach nothing, and pairs of which the longer one wins."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from statistics import median

from tunekit.data.issues import Issue
from tunekit.data.near import normalised
from tunekit.data.rows import Preference, Row, Where
from tunekit.data.words import plain

WARN_SHARE, ERROR_SHARE, RATIO = 0.60, 0.80, 1.2
LEAST = 20
"""Pairs from which a share says something."""


class Preferences:
    """Compares the two answers of each pair."""

    def __init__(self) -> None:
        self._first: Where | None = None
        self._chosen, self._rejected = array("L"), array("L")

    def add(self, row: Row) -> Iterator[Issue]:
        """Take a pair; of equal ones say so."""
        if not isinstance(row, Preference):
            return
        chosen, rejected = plain(row.chosen), plain(row.rejected)
        self._first = self._first or row.where
        self._chosen.append(len(chosen.split()))
        self._rejected.append(len(rejected.split()))
        if normalised(chosen) == normalised(rejected):
            yield Issue(
                code="identical-pair",
                severity="warning",
                file=row.where.file,
                line=row.where.line,
                message="chosen and rejected say the same, so the row teaches nothing",
                fix="find the answer that was meant, or leave such rows out: "
                "data: {drop: [identical-pair]}",
            )

    def close(self) -> Iterator[Issue]:
        """Say when length decides."""
        if self._first is None or len(self._chosen) < LEAST:
            return
        pairs = list(zip(self._chosen, self._rejected, strict=True))
        share = sum(a > b for a, b in pairs) / len(pairs)
        ratio = median(self._chosen) / max(1, median(self._rejected))
        if share > WARN_SHARE or ratio > RATIO:
            yield Issue(
                code="length-bias",
                severity="error" if share > ERROR_SHARE else "warning",
                file=self._first.file,
                message=f"chosen is longer than rejected in {share:.0%} of the pairs "
                f"(median length {ratio:.2f} times)",
                fix="add pairs in which the shorter answer wins, or take an objective that "
                "normalises by length. To go on: data: {checks: {length-bias: warning}}",
            )
