"""Rows as token ids and labels, audited before anything is trained."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.backends.local.columns import columns, unpaired
from tunekit.backends.local.token_cache import kept
from tunekit.data import dropped
from tunekit.data.audit import audit
from tunekit.data.dropped import Dropped
from tunekit.data.issues import Enough, Found, Issue, add, fold, require
from tunekit.data.mask import (
    IGNORED,
    Judgement,
    Pair,
    Tokens,
    tokenize_all,
    tokenize_pair,
    tokenize_prompt,
)
from tunekit.data.quality.catalogue import severity
from tunekit.data.render import read
from tunekit.data.rows import Completion, Conversation, Preference, Prompt, Row, Text, said_weight
from tunekit.data.samples import Sample, samples, too_long
from tunekit.data.tokens import Asked
from tunekit.errors import DataError

_NEW = "max_completion_length"
FIRST = 3
"""Rows with one fault that an error names; the others are counted."""


@dataclass(frozen=True)
class TrainingRows:
    """What the trainer gets, and what the log should say about it."""

    columns: dict[str, list[Any]]
    notes: tuple[str, ...]


def tokenized(path: Path, request: dict[str, Any], tokenizer: Any) -> TrainingRows:
    """Tokenise every row of a file once.

    Rows that the spec drops for what their tokens show are added to `dropped.jsonl` beside it, and
    everything that was found to `issues.jsonl`.

    Raises:
        DataError: the mask is wrong, or nothing of a row is trained.
    """
    wanted = request["data"]
    rows = list(read(path))
    limit = wanted["max_length"]  # lowered to what the model takes when it was loaded
    found: list[Sample | Asked] = [
        *_samples(rows, tokenizer, path, train_on=wanted["train_on"], limit=limit),
        *asked(rows, tokenizer, room=limit - int(request["trainer"].get(_NEW, 0))),
    ]
    every = list(_issues(rows, found, tokenizer, wanted))
    add([issue for issue in every if issue.severity != "off"], path.with_name("issues.jsonl"))
    issues = Found(checks=wanted.get("checks", {}), drop=wanted.get("drop", ()))
    with contextlib.suppress(Enough):
        for issue in every:
            issues.append(issue)
    require(fold(issues, shown=FIRST))
    left_out = _left_out(issues.dropped, rows)
    dropped.add(left_out, path.with_name("dropped.jsonl"))
    lines = {row.line for row in left_out}
    trained = [each for each in found if each.where is None or each.where.line not in lines]
    if not trained:
        raise DataError(f"{path}: no rows are left to train on")
    made = columns(trained, request, path)
    return TrainingRows(made, tuple(_notes(trained, issues, left_out)))


def _samples(
    rows: Sequence[Row], tokenizer: Any, path: Path, *, train_on: str, limit: int | None
) -> list[Sample]:
    """Tokenise what is trained on by its tokens, or find it as an earlier run has left it."""
    return kept(
        rows,
        lambda: samples(rows, tokenizer, train_on=train_on, max_length=limit),
        source=path,
        tokenizer=tokenizer,
        settings=(train_on, limit),
    )


def _issues(
    rows: Sequence[Row], found: Sequence[Sample | Asked], tokenizer: Any, wanted: Mapping[str, Any]
) -> Iterator[Issue]:
    """Give every finding with what it is worth among all rows."""
    made = [sample for sample in found if not isinstance(sample, Asked)]
    limit = wanted["max_length"]
    issues = [
        *audit(made, tokenizer, train_on=wanted["train_on"]),
        *(too_long(sample, limit) for sample in made if not sample.complete),
        *_unheld(rows),
    ]
    counts = Counter(issue.code for issue in issues)
    checks = wanted.get("checks", {})
    weights = {code: severity(code, n, len(found), checks) for code, n in counts.items()}
    for issue in issues:
        yield issue.model_copy(update={"severity": weights[issue.code]})
    for sample in found:
        if isinstance(sample, Asked) and not sample.complete:
            yield _no_room(sample, limit)


def _no_room(sample: Asked, limit: int) -> Issue:
    """Say that the model cannot write to the end of an answer; no prompt is cut."""
    return Issue(
        code="too-long",
        file=sample.where.file,
        line=sample.where.line,
        message=f"the prompt has {len(sample.prompt_ids)} tokens; with objective.max_new_tokens of "
        f"answer that is more than training.max_length={limit}",
        fix="lower objective.max_new_tokens, shorten the prompt, or leave such rows out: "
        "data: {drop: [too-long]}",
    )


def _unheld(rows: Sequence[Row]) -> Iterator[Issue]:
    """Name the rows of which something would be ignored."""
    for row in rows:
        if (weight := said_weight(row)) not in (None, 1):
            yield Issue(
                code="row-weight",
                file=row.where.file,
                line=row.where.line,
                message=f"the row has weight {weight:g}, and here every row counts once",
                fix="train on Together or Fireworks, repeat or remove rows instead, or leave such "
                "rows out: data: {drop: [row-weight]}",
            )
        if isinstance(row, (Conversation, Preference)) and row.parallel_tool_calls is not None:
            yield Issue(
                code="parallel-tool-calls",
                file=row.where.file,
                line=row.where.line,
                message="parallel_tool_calls is not read here; the answers show how tools are "
                "called",
                fix="nothing, if the answers are as they should be",
            )


def _left_out(issues: Sequence[Issue], rows: Sequence[Row]) -> list[Dropped]:
    """Give every dropped row once, with the first reason."""
    by_line = {row.where.line: row for row in rows}
    found: dict[int, Dropped] = {}
    for issue in issues:
        found.setdefault(issue.line, Dropped.by(issue, by_line[issue.line]))
    return list(found.values())


def _notes(
    kept: Sequence[Sample | Asked], issues: Sequence[Issue], out: Sequence[Dropped]
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


def judged(rows: Sequence[Row], tokenizer: Any, limit: int | None) -> list[Judgement]:
    """Tokenise rows with an answer and a verdict; of a pair, both answers."""
    found = samples(rows, tokenizer, train_on="completion", max_length=limit)
    return list(unpaired(found))


def asked(rows: Sequence[Row], tokenizer: Any, *, room: int) -> list[Asked]:
    """Tokenise rows of prompts; `room` is what is left for one beside its answer."""
    found = ((row, tokenize_prompt(row, tokenizer)) for row in rows if isinstance(row, Prompt))
    return [Asked(ids, row, complete=len(ids) <= room) for row, ids in found]


def _summary(rows: Sequence[Sample | Asked]) -> str:
    samples = [row for row in rows if isinstance(row, Tokens)]
    if samples:
        total = sum(len(row.input_ids) for row in samples)
        trained = sum(label != IGNORED for row in samples for label in row.labels)
        return f"{len(samples)} rows, {total} tokens, {trained} of them trained on"
    if judgements := [row for row in rows if isinstance(row, Judgement)]:
        total = sum(len(row.prompt_ids) + len(row.completion_ids) for row in judgements)
        wanted = sum(row.label for row in judgements)
        return f"{len(judgements)} answers, {wanted} of them wanted, {total} tokens"
    if prompts := [row for row in rows if isinstance(row, Asked)]:
        return f"{len(prompts)} prompts, {sum(len(row.prompt_ids) for row in prompts)} tokens"
    found = [row for row in rows if isinstance(row, Pair)]
    total = sum(2 * len(p.prompt_ids) + len(p.chosen_ids) + len(p.rejected_ids) for p in found)
    return f"{len(found)} pairs, {total} tokens"
