"""Rows as token ids and labels, audited before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.data.issues import require
from tunekit.data.mask import Pair, Tokens, audit, tokenize, tokenize_pair
from tunekit.data.render import read
from tunekit.data.rows import Preference, Row
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
    limit = request["data"]["max_length"]
    if request["objective"] == "dpo":
        return _pairs(pairs(rows, tokenizer, limit), limit)
    samples = tokens(rows, tokenizer, request["data"]["train_on"], limit)
    require(audit(rows, samples, tokenizer, train_on=request["data"]["train_on"]))
    return _samples(samples, limit)


def tokens(rows: Sequence[Row], tokenizer: Any, train_on: str, limit: int | None) -> list[Tokens]:
    """Tokenise rows for supervised training."""
    return [
        tokenize(row, tokenizer, train_on=train_on, max_length=limit)
        for row in rows
        if not isinstance(row, Preference)
    ]


def pairs(rows: Sequence[Row], tokenizer: Any, limit: int | None) -> list[Pair]:
    """Tokenise rows with a better and a worse answer."""
    return [
        tokenize_pair(row, tokenizer, max_length=limit)
        for row in rows
        if isinstance(row, Preference)
    ]


def _samples(samples: Sequence[Tokens], limit: int | None) -> TrainingRows:
    if not samples:
        raise DataError("no rows are left to train on")
    full = sum(len(sample.input_ids) == limit for sample in samples)
    trained = sum(label != -100 for sample in samples for label in sample.labels)
    count = sum(len(sample.input_ids) for sample in samples)
    notes = [f"{len(samples)} rows, {count} tokens, {trained} of them trained on"]
    if full:
        notes.append(f"{full} rows are cut at training.max_length={limit} and lose their end")
    columns = {
        "input_ids": [sample.input_ids for sample in samples],
        "labels": [sample.labels for sample in samples],
    }
    return TrainingRows(columns, tuple(notes))


def _pairs(found: Sequence[Pair], limit: int | None) -> TrainingRows:
    if not found:
        raise DataError("no rows are left to train on")
    count = sum(2 * len(p.prompt_ids) + len(p.chosen_ids) + len(p.rejected_ids) for p in found)
    columns = {
        "prompt_ids": [pair.prompt_ids for pair in found],
        "chosen_ids": [pair.chosen_ids for pair in found],
        "rejected_ids": [pair.rejected_ids for pair in found],
    }
    return TrainingRows(columns, (f"{len(found)} pairs, {count} tokens",))
