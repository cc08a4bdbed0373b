"""Rows as token ids and labels, audited before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.data.issues import require
from tunekit.data.mask import IGNORED, Pair, Tokens, audit, tokenize, tokenize_pair
from tunekit.data.render import read
from tunekit.data.rows import Completion, Conversation, Preference, Row, Text
from tunekit.errors import DataError


@dataclass(frozen=True)
class TrainingRows:
    """What the trainer gets, and what the log should say about it."""

    columns: dict[str, list[Any]]
    notes: tuple[str, ...]


def tokenized(path: Path, request: dict[str, Any], tokenizer: Any) -> TrainingRows:
    """Tokenise every row of a file once.

    Raises:
        DataError: the mask is wrong, or nothing of a row is trained.
    """
    rows = list(read(path))
    if not rows:
        raise DataError(f"{path}: no rows are left to train on")
    limit = request["data"]["max_length"]  # lowered to what the model takes when it was loaded
    train_on = request["data"]["train_on"]
    found: list[Tokens | Pair] = [
        *tokens(rows, tokenizer, train_on, limit),
        *pairs(rows, tokenizer, limit),
    ]
    require(audit(found, tokenizer, train_on=train_on))
    notes = [_summary(found)]
    cut = sum(not row.complete for row in found)
    if cut:
        notes.append(f"{cut} rows are cut at training.max_length={limit} and lose their end")
    return TrainingRows(_columns(found), tuple(notes))


def tokens(rows: Sequence[Row], tokenizer: Any, train_on: str, limit: int | None) -> list[Tokens]:
    """Tokenise rows for supervised training."""
    return [
        tokenize(row, tokenizer, train_on=train_on, max_length=limit)
        for row in rows
        if isinstance(row, (Conversation, Completion, Text))
    ]


def pairs(rows: Sequence[Row], tokenizer: Any, limit: int | None) -> list[Pair]:
    """Tokenise rows with a better and a worse answer."""
    return [
        tokenize_pair(row, tokenizer, max_length=limit)
        for row in rows
        if isinstance(row, Preference)
    ]


def _columns(rows: Sequence[Tokens | Pair]) -> dict[str, list[Any]]:
    kind: tuple[str, ...] = ("input_ids", "labels")
    if isinstance(rows[0], Pair):
        kind = ("prompt_ids", "chosen_ids", "rejected_ids")
    return {name: [getattr(row, name) for row in rows] for name in kind}


def _summary(rows: Sequence[Tokens | Pair]) -> str:
    samples = [row for row in rows if isinstance(row, Tokens)]
    if samples:
        total = sum(len(row.input_ids) for row in samples)
        trained = sum(label != IGNORED for row in samples for label in row.labels)
        return f"{len(samples)} rows, {total} tokens, {trained} of them trained on"
    found = [row for row in rows if isinstance(row, Pair)]
    total = sum(2 * len(p.prompt_ids) + len(p.chosen_ids) + len(p.rejected_ids) for p in found)
    return f"{len(found)} pairs, {total} tokens"
