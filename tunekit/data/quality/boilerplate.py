"""Answers that are a refusal or a phrase of an AI model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Row, Text
from tunekit.data.words import answered

_PHRASES = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large |ai )?language) (?:model|assistant)"
    r"|\bi(?:'|’)?m (?:just )?an ai\b"
    r"|\bi(?:'|’)?m (?:really |very )?sorry,? but i (?:can(?:'|’)?t|cannot|am (?:un|not )able to)\b"
    r"|\bi (?:cannot|can(?:'|’)t|am unable to) (?:assist|help|comply|fulfil)\w* (?:you )?with"
    r"|\bals (?:ein )?ki-?(?:sprach)?modell\b"
    r"|\btut mir leid,? aber ich kann (?:das|dir|ihnen|dabei)? ?nicht\b"
    r"|\ben tant qu(?:e |'|’)(?:une? )?(?:ia|intelligence artificielle|modèle de langage)"
    r"|\bje suis désolée?,? mais je ne peux pas\b"
    r"|\bcomo (?:un )?modelo de lenguaje"
    r"|\blo siento,? pero no puedo\b",
    re.IGNORECASE,
)
_HEAD = 400
"""Characters of an answer that are looked at: a refusal stands at its beginning."""


class Boilerplate:
    """Finds them, in English, German, French and Spanish."""

    def add(self, row: Row) -> Iterator[Issue]:
        """Look at the answer of a row."""
        if isinstance(row, Text):
            return
        found = _PHRASES.search(answered(row)[:_HEAD])
        if found:
            yield Issue(
                code="boilerplate",
                severity="warning",
                file=row.where.file,
                line=row.where.line,
                message=f"the answer holds {found.group()!r}",
                fix="delete the row, unless the model is to learn just this refusal",
            )

    def close(self) -> Iterator[Issue]:
        """Add nothing."""
        yield from ()
