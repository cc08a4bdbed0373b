"""Held-out rows that the model has seen in training."""

from __future__ import annotations

from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.near import Near, normalised
from tunekit.data.rows import Row
from tunekit.data.words import answered, asked, own


class Leakage:
    """Compares held-out rows with the rows to train on, all of which must have been added."""

    def __init__(self) -> None:
        self._prompts: set[int] = set()
        self._near = Near()
        self._held: list[tuple[int, str, int]] = []
        self._trained = 0

    def add(self, row: Row) -> Iterator[Issue]:
        """Remember a row to train on."""
        self._prompts.add(hash(_prompt(row)))
        self._near.add(own(row))
        self._trained = len(self._near)
        yield from ()

    def held(self, row: Row) -> Iterator[Issue]:
        """Say whether the prompt of a held-out row is trained on."""
        where = row.where
        if hash(_prompt(row)) in self._prompts:
            yield Issue(
                code="leaked-row",
                severity="warning",
                file=where.file,
                line=where.line,
                message="the prompt of this held-out row is also trained on",
                fix="remove it from one side; the figures would be too good. To keep it: "
                "data: {checks: {leaked-row: warning}}",
            )
            return
        self._held.append((self._near.add(own(row)), where.file, where.line))

    def close(self) -> Iterator[Issue]:
        """Name the held-out rows that are near copies of rows to train on."""
        if not self._held:
            return
        pairs = self._near.pairs()
        for index, file, line in self._held:
            earlier, similarity = pairs.get(index, (self._trained, 0.0))
            if earlier < self._trained:
                yield Issue(
                    code="near-leak",
                    severity="warning",
                    file=file,
                    line=line,
                    message=f"{similarity:.0%} of this held-out row is trained on "
                    f"(row {earlier + 1} of the training rows)",
                    fix="remove it from one side, or hold out rows of other topics",
                )


def _prompt(row: Row) -> str:
    return normalised(asked(row) or answered(row))
