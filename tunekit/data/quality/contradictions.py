"""The same prompt with different short answers."""

from __future__ import annotations

from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.near import normalised
from tunekit.data.rows import Judged, Preference, Row, Text
from tunekit.data.words import answered, asked

WORDS = 5
"""Longer answers may well differ and all be right."""


class Contradictions:
    """Remembers a hash of each prompt that has a short answer, and of the answer."""

    def __init__(self) -> None:
        self._answers: dict[int, int] = {}

    def add(self, row: Row) -> Iterator[Issue]:
        """Compare with the first answer to the same prompt."""
        if isinstance(row, (Text, Preference, Judged)):
            return
        answer = answered(row)
        if len(answer) > 80 or len(answer.split()) > WORDS:
            return
        prompt, given = normalised(asked(row)), hash(normalised(answer))
        if prompt and self._answers.setdefault(hash(prompt), given) != given:
            yield Issue(
                code="contradiction",
                severity="warning",
                file=row.where.file,
                line=row.where.line,
                message=f"an earlier row gives another answer to the same prompt than {answer!r}",
                fix="decide which is right, or say in the prompt what the difference hangs on",
            )

    def close(self) -> Iterator[Issue]:
        """Add nothing."""
        yield from ()
