"""Rows as token ids and labels, audited before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.data import dropped
from tunekit.data.dropped import Dropped
from tunekit.data.issues import Found, Issue, require
from tunekit.data.mask import IGNORED, Pair, Tokens, audit, tokenize_all, tokenize_pair
from tunekit.data.quality.catalogue import severity
from tunekit.data.render import read
from tunekit.data.rows import Completion, Conversation, Preference, Row, Text
from tunekit.errors import DataError

Sample = Tokens | Pair


@dataclass(frozen=True)
class TrainingRows:
    """What the trainer gets, and what the log should say about it."""

    columns: dict[str, list[Any]]
    notes: tuple[str, ...]


def tokenized(path: Path, request: dict[str, Any], tokenizer: Any) -> TrainingRows:
    """Tokenise every row of a file once.

    Rows that the spec drops for what their tokens show are added to `dropped.jsonl` beside it.

    Raises:
        DataError: the mask is wrong, or nothing of a row is trained.
    """
    wanted = request["data"]
    rows = list(read(path))
    limit = wanted["max_length"]  # lowered to what the model takes when it was loaded
    found: list[Sample] = [
        *tokens(rows, tokenizer, wanted["train_on"], limit),
        *pairs(rows, tokenizer, limit),
    ]
    issues = Found(checks=wanted.get("checks", {}), drop=wanted.get("drop", ()))
    for issue in _issues(found, tokenizer, wanted):
        issues.append(issue)
    require(issues)
    left_out = _left_out(issues.dropped, rows)
    dropped.add(left_out, path.with_name("dropped.jsonl"))
    lines = {row.line for row in left_out}
    kept = [sample for sample in found if sample.where is None or sample.where.line not in lines]
    if not kept:
        raise DataError(f"{path}: no rows are left to train on")
    return TrainingRows(_columns(kept), tuple(_notes(kept, issues, left_out)))


def _issues(found: Sequence[Sample], tokenizer: Any, wanted: Mapping[str, Any]) -> Iterator[Issue]:
    yield from audit(found, tokenizer, train_on=wanted["train_on"])
    long = [sample for sample in found if not sample.complete]
    weight = severity("too-long", len(long), len(found), wanted.get("checks", {}))
    for sample in long:
        yield _too_long(sample, wanted["max_length"]).model_copy(update={"severity": weight})


def _too_long(sample: Sample, limit: int | None) -> Issue:
    where = sample.where
    return Issue(
        code="too-long",
        file=where.file if where else "",
        line=where.line if where else 0,
        message=f"the row is longer than training.max_length={limit} tokens and loses its end",
        fix="raise training.max_length, shorten the row, or leave such rows out: "
        "data: {drop: [too-long]}",
    )


def _left_out(issues: Sequence[Issue], rows: Sequence[Row]) -> list[Dropped]:
    """Give every dropped row once, with the first reason."""
    by_line = {row.where.line: row for row in rows}
    found: dict[int, Dropped] = {}
    for issue in issues:
        found.setdefault(issue.line, Dropped.by(issue, by_line[issue.line]))
    return list(found.values())


def _notes(
    kept: Sequence[Sample], issues: Sequence[Issue], out: Sequence[Dropped]
) -> Iterator[str]:
    yield _summary(kept)
    if out:
        yield dropped.words(dropped.counts(out))
    for code, count in Counter(issue.code for issue in issues).items():
        first = next(issue for issue in issues if issue.code == code)
        yield f"{count} of {len(kept)} rows: {first.message} ({code}); {first.fix}"


def tokens(rows: Sequence[Row], tokenizer: Any, train_on: str, limit: int | None) -> list[Tokens]:
    """Tokenise rows for supervised training."""
    trained = [row for row in rows if isinstance(row, (Conversation, Completion, Text))]
    return tokenize_all(trained, tokenizer, train_on=train_on, max_length=limit)


def pairs(rows: Sequence[Row], tokenizer: Any, limit: int | None) -> list[Pair]:
    """Tokenise rows with a better and a worse answer."""
    return [
        tokenize_pair(row, tokenizer, max_length=limit)
        for row in rows
        if isinstance(row, Preference)
    ]


def _columns(rows: Sequence[Sample]) -> dict[str, list[Any]]:
    kind: tuple[str, ...] = ("input_ids", "labels")
    if isinstance(rows[0], Pair):
        kind = ("prompt_ids", "chosen_ids", "rejected_ids")
    return {name: [getattr(row, name) for row in rows] for name in kind}


def _summary(rows: Sequence[Sample]) -> str:
    samples = [row for row in rows if isinstance(row, Tokens)]
    if samples:
        total = sum(len(row.input_ids) for row in samples)
        trained = sum(label != IGNORED for row in samples for label in row.labels)
        return f"{len(samples)} rows, {total} tokens, {trained} of them trained on"
    found = [row for row in rows if isinstance(row, Pair)]
    total = sum(2 * len(p.prompt_ids) + len(p.chosen_ids) + len(p.rejected_ids) for p in found)
    return f"{len(found)} pairs, {total} tokens"
