"""Rows that are far longer than the others, and data of very few rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from heapq import heappushpop

from tunekit.data import estimate
from tunekit.data.issues import Issue
from tunekit.data.quality.catalogue import FEW
from tunekit.data.rows import Row

TIMES = 4
_STEP = math.log(1.05)
_LONGEST = 100


class Lengths:
    """Keeps a histogram in steps of 5 %, and the 100 longest rows."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._longest: list[tuple[int, int, str, int]] = []
        self._file, self._rows = "", 0

    def add(self, row: Row) -> Iterator[Issue]:
        """Take the estimated tokens of a row."""
        tokens = max(1, estimate.longest(row))
        self._buckets[int(math.log(tokens) / _STEP)] += 1
        self._rows += 1
        self._file = self._file or row.where.file
        entry = (tokens, -self._rows, row.where.file, row.where.line)
        if len(self._longest) < _LONGEST:
            self._longest.append(entry)
            self._longest.sort()
        elif entry > self._longest[0]:
            heappushpop(self._longest, entry)
        yield from ()

    def close(self) -> Iterator[Issue]:
        """Name the outliers, and say when there are few rows."""
        if not self._rows:
            return
        if self._rows < FEW:
            yield Issue(
                code="few-rows",
                severity="warning",
                file=self._file,
                message=f"{self._rows} rows are very few to learn from; "
                f"guides speak of at least {FEW} to 100",
                fix="add rows; a few dozen good ones more are worth more than more epochs",
            )
        limit = TIMES * self._percentile(0.99)
        for tokens, _, file, line in sorted(self._longest, reverse=True):
            if tokens > limit:
                yield Issue(
                    code="length-outlier",
                    severity="warning",
                    file=file,
                    line=line,
                    message=f"the row has about {tokens:,} tokens, 99 % have at most "
                    f"{limit // TIMES:,}",
                    fix="look at it: rows glued together and log files look like this",
                )

    def _percentile(self, share: float) -> int:
        """Give the upper end of the bucket up to which so many rows lie."""
        left = share * self._rows
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return round(math.exp((bucket + 1) * _STEP))
        return 0
