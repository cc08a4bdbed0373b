"""Checks that the labels are what they should be, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.rows import Where
from tunekit.data.template import stops
from tunekit.data.tokens import IGNORED, Pair, Tokens


def audit(
    rows: Iterable[Tokens | Pair], tokenizer: Any, *, train_on: str = "assistant"
) -> list[Issue]:
    """Give everything wrong with the labels of tokenized rows.

    `no-trained-token` is told row by row; the others once, with the number of rows.

    Args:
        rows: what `tokenize` or `tokenize_pair` gave.
        tokenizer: the one they were made with.
        train_on: as it was given to `tokenize`.
    """
    rows = list(rows)
    ends = stops(tokenizer)
    faults = {
        "end-of-turn-not-trained": [row for row in rows if _never_stops(row, ends)],
        "user-token-trained": [row for row in rows if train_on != "all" and _trains_others(row)],
        "double-bos": [row for row in rows if _begins_twice(row, tokenizer.bos_token_id)],
    }
    issues = [_untrained(row) for row in rows if not _trains(row)]
    for code, found in faults.items():
        if found:
            issues.append(_counted(code, found, len(rows)))
    return issues


def _trains(row: Tokens | Pair) -> bool:
    if isinstance(row, Pair):
        return bool(row.chosen_ids) and bool(row.rejected_ids)
    return any(label != IGNORED for label in row.labels)


def _never_stops(row: Tokens | Pair, ends: frozenset[int]) -> bool:
    """Say whether the model would learn an answer of this row without its end."""
    if not row.complete or not _trains(row):
        return False
    if isinstance(row, Pair):
        return not (ends & set(row.chosen_ids) and ends & set(row.rejected_ids))
    return not any(ends & set(answer) for answer in list(_stretches(row.labels))[-1:])


def _stretches(labels: Sequence[int]) -> Iterator[list[int]]:
    """Give every unbroken stretch of trained tokens."""
    stretch: list[int] = []
    for label in (*labels, IGNORED):
        if label != IGNORED:
            stretch.append(label)
        elif stretch:
            yield stretch
            stretch = []


def _trains_others(row: Tokens | Pair) -> bool:
    return isinstance(row, Tokens) and any(
        label != IGNORED for start, end in row.others for label in row.labels[start:end]
    )


def _begins_twice(row: Tokens | Pair, bos: int | None) -> bool:
    ids = row.prompt_ids + row.chosen_ids if isinstance(row, Pair) else row.input_ids
    return bos is not None and ids[:2] == [bos, bos]


def _untrained(row: Tokens | Pair) -> Issue:
    where = row.where or Where(file="<rows>", line=0)
    if not row.complete:
        message = "cut to training.max_length, the row keeps no token of its answer"
        fix = "raise training.max_length, shorten the prompt, or delete the row"
    else:
        message = "the row has no token that is trained on"
        fix = "check that its answer is not empty and that the chat template writes it"
    return Issue(
        code="no-trained-token", file=where.file, line=where.line, message=message, fix=fix
    )


def _counted(code: str, rows: Sequence[Tokens | Pair], total: int) -> Issue:
    where = rows[0].where or Where(file="<rows>", line=0)
    message, fix = _TEXTS[code]
    return Issue(
        code=code,
        file=where.file,
        line=where.line,
        message=f"{message} ({len(rows)} of {total} rows, this is the first)",
        fix=fix,
    )


_TEXTS = {
    "end-of-turn-not-trained": (
        "the token that ends an answer is not trained on, so the model would not learn to stop",
        "in the model's chat template, put {% endgeneration %} behind the end-of-turn token; "
        "for text without a template, give the tokenizer an eos_token",
    ),
    "user-token-trained": (
        "words of the user, the system or a tool are trained on as if the model had said them",
        "in the model's chat template, put {% generation %} around the assistant's part alone",
    ),
    "double-bos": (
        "the row begins with two beginning-of-sequence tokens",
        "remove the token from the text, or from the chat template",
    ),
}
