"""Rows that are cut, or whose labels are wrong, with the tokenizer of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tunekit.data.audit import Auditor
from tunekit.data.issues import Issue
from tunekit.data.mask import BATCH
from tunekit.data.prepare import TRAIN_ON
from tunekit.data.rows import Row
from tunekit.data.samples import samples, too_long
from tunekit.errors import DataError


class Trained:
    """Tokenises the rows as training will, many at a time, and looks at the labels of each."""

    def __init__(self, tokenizer: Any, *, max_length: int | None) -> None:
        self._tokenizer, self._limit = tokenizer, max_length
        self._auditor = Auditor(tokenizer)
        self._waiting: list[Row] = []

    def add(self, row: Row) -> Iterator[Issue]:
        """Take a row; speaks of it when enough have come together."""
        self._waiting.append(row)
        if len(self._waiting) == BATCH:
            yield from self._looked()

    def close(self) -> Iterator[Issue]:
        """Look at the rows that still wait."""
        yield from self._looked()

    def _looked(self) -> Iterator[Issue]:
        rows, self._waiting = self._waiting, []
        try:
            yield from self._issues(rows)
        except DataError:
            for row in rows:
                yield from self._alone(row)

    def _alone(self, row: Row) -> Iterator[Issue]:
        try:
            yield from self._issues([row])
        except DataError as error:
            yield from error.issues

    def _issues(self, rows: Sequence[Row]) -> list[Issue]:
        """Give what is wrong with some rows; all of them, or the template refuses one."""
        if not rows:
            return []
        train_on = TRAIN_ON.get(rows[0].kind, ("completion",))[0]
        done = samples(rows, self._tokenizer, train_on=train_on, max_length=self._limit)
        long = [too_long(sample, self._limit) for sample in done if not sample.complete]
        audited = (self._auditor.issues(sample, train_on=train_on) for sample in done)
        return [*long, *(issue for some in audited for issue in some)]
