"""Rows of any kind as the model will see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.mask import tokenize_all, tokenize_judged, tokenize_pair
from tunekit.data.rows import Completion, Conversation, Judged, Preference, Row, Text
from tunekit.data.tokens import Judgement, Pair
from tunekit.data.tokens import Sample as Sample


def samples(
    rows: Sequence[Row], tokenizer: Any, *, train_on: str, max_length: int | None
) -> list[Sample]:
    """Tokenise rows, in their order; rows that are not trained on by tokens are left out.

    Raises:
        DataError: the chat template refuses a row.
        SpecError: the tokenizer has no chat template, or gives no offsets.
    """
    return list(_samples(rows, tokenizer, train_on, max_length))


def _samples(
    rows: Sequence[Row], tokenizer: Any, train_on: str, limit: int | None
) -> Iterator[Sample]:
    whole = [row for row in rows if isinstance(row, (Conversation, Completion, Text))]
    done = iter(tokenize_all(whole, tokenizer, train_on=train_on, max_length=limit))
    for row in rows:
        if isinstance(row, Preference):
            yield tokenize_pair(row, tokenizer, max_length=limit)
        elif isinstance(row, Judged):
            yield tokenize_judged(row, tokenizer, max_length=limit)
        elif isinstance(row, (Conversation, Completion, Text)):
            yield next(done)


def length(sample: Sample) -> int:
    """Count the tokens of a row; of a pair, those of both sequences."""
    if isinstance(sample, Pair):
        both = len(sample.chosen_ids) + len(sample.rejected_ids)
        return 2 * len(sample.prompt_ids) + both
    if isinstance(sample, Judgement):
        return len(sample.prompt_ids) + len(sample.completion_ids)
    return len(sample.input_ids)


def too_long(sample: Sample, limit: int | None) -> Issue:
    """Say that a row was cut."""
    where = sample.where
    return Issue(
        code="too-long",
        severity="warning",
        file=where.file if where else "",
        line=where.line if where else 0,
        message=f"the row is longer than training.max_length={limit} tokens and loses its end",
        fix="raise training.max_length, shorten the row, or leave such rows out: "
        "data: {drop: [too-long]}",
    )
