"""Checks that the labels are what they should be, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.rows import Where
from tunekit.data.template import stops
from tunekit.data.tokens import IGNORED, Judgement, Pair, Sample, Tokens


def audit(rows: Iterable[Sample], tokenizer: Any, *, train_on: str = "assistant") -> list[Issue]:
    """Give everything wrong with the labels of tokenized rows, row by row.

    Args:
        rows: what `tokenize` or `tokenize_pair` gave.
        tokenizer: the one they were made with.
        train_on: as it was given to `tokenize`.
    """
    auditor = Auditor(tokenizer)
    return [issue for row in rows for issue in auditor.issues(row, train_on=train_on)]


class Auditor:
    """Looks at the labels of one tokenized row after the other."""

    def __init__(self, tokenizer: Any) -> None:
        self._ends = stops(tokenizer)
        self._bos: int | None = tokenizer.bos_token_id

    def issues(self, row: Sample, *, train_on: str) -> Iterator[Issue]:
        """Give everything wrong with the labels of one row."""
        if not _trains(row):
            yield _issue("no-trained-token", row, _UNCUT if row.complete else _CUT)
        for code in self._codes(row, train_on):
            yield _issue(code, row, _TEXTS[code])

    def _codes(self, row: Sample, train_on: str) -> Iterator[str]:
        if _never_stops(row, self._ends):
            yield "end-of-turn-not-trained"
        if train_on != "all" and _trains_others(row):
            yield "user-token-trained"
        if _begins_twice(row, self._bos):
            yield "double-bos"
        if isinstance(row, Pair) and not row.complete and _is_one(row):
            yield "identical-when-cut"


def _trains(row: Sample) -> bool:
    if isinstance(row, Pair):
        return bool(row.chosen_ids) and bool(row.rejected_ids)
    if isinstance(row, Judgement):
        return bool(row.completion_ids)
    return any(label != IGNORED for label in row.labels)


def _never_stops(row: Sample, ends: frozenset[int]) -> bool:
    """Say whether the model would learn an answer of this row without its end."""
    if not row.complete or not _trains(row):
        return False
    if isinstance(row, Pair):
        return not (ends & set(row.chosen_ids) and ends & set(row.rejected_ids))
    if isinstance(row, Judgement):
        return not ends & set(row.completion_ids)
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


def _trains_others(row: Sample) -> bool:
    return isinstance(row, Tokens) and any(
        label != IGNORED for start, end in row.others for label in row.labels[start:end]
    )


def _begins_twice(row: Sample, bos: int | None) -> bool:
    if isinstance(row, Pair):
        ids = row.prompt_ids + row.chosen_ids
    elif isinstance(row, Judgement):
        ids = row.prompt_ids + row.completion_ids
    else:
        ids = row.input_ids
    return bos is not None and ids[:2] == [bos, bos]


def _is_one(row: Pair) -> bool:
    """Say whether both answers are the same, and there is something of them."""
    return bool(row.chosen_ids) and row.chosen_ids == row.rejected_ids


def _issue(code: str, row: Sample, text: tuple[str, str]) -> Issue:
    where = row.where or Where(file="<rows>", line=0)
    message, fix = text
    return Issue(code=code, file=where.file, line=where.line, message=message, fix=fix)


_CUT = (
    "cut to training.max_length, the row keeps no token of its answer",
    "raise training.max_length, shorten the prompt, or leave such rows out: "
    "data: {drop: [no-trained-token]}",
)
_UNCUT = (
    "the row has no token that is trained on",
    "check that its answer is not empty and that the chat template writes it",
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
    "identical-when-cut": (
        "cut to training.max_length, chosen and rejected are the same",
        "raise training.max_length, shorten the prompt, or leave such rows out: "
        "data: {drop: [identical-when-cut]}",
    ),
}
