"""Tokenised rows as the columns that TRL's trainers read."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tunekit.data.rows import Prompt
from tunekit.data.tokens import Asked, Judgement, Pair, Sample
from tunekit.errors import SpecError
from tunekit.evaluation import rewards

Columns = dict[str, list[Any]]

_TAKEN = frozenset(
    {
        *("prompts", "completions", "completion", "completion_ids", "image", "images"),
        *("environment", "environments", "trainer_state", "log_extra", "log_metric"),
    }
)
"""Names that TRL gives a meaning of its own."""


def columns(kept: Sequence[Sample | Asked], request: dict[str, Any], path: Path) -> Columns:
    """Give the columns for the trainer of the request's objective.

    Raises:
        SpecError: the rows lack a column that a reward function asks for.
    """
    objective = request["objective"]
    if objective == "kto":
        return _judged(kept, request["trainer"])
    if objective == "reward":
        return _scored([row for row in kept if isinstance(row, Pair)])
    if objective == "grpo":
        return _asked([row for row in kept if isinstance(row, Asked)], request, path)
    kind: tuple[str, ...] = ("input_ids", "labels")
    if isinstance(kept[0], Pair):
        kind = ("prompt_ids", "chosen_ids", "rejected_ids")
    return {name: [getattr(row, name) for row in kept] for name in kind}


def unpaired(rows: Iterable[Sample | Asked]) -> Iterator[Judgement]:
    """Give judged answers; of a pair, the chosen one as wanted and the rejected one as not."""
    for row in rows:
        if isinstance(row, Pair):
            for answer, label in ((row.chosen_ids, True), (row.rejected_ids, False)):
                yield Judgement(row.prompt_ids, answer, label, row.complete, row.where)
        elif isinstance(row, Judgement):
            yield row


def _judged(kept: Iterable[Sample | Asked], trainer: dict[str, Any]) -> Columns:
    """Shuffle once, and give every answer that of a neighbour, for the KL term.

    KTOTrainer takes the rows in their order, so that a batch holds both an answer and the prompt
    that it is matched with.
    """
    rows = list(unpaired(kept))
    random.Random(trainer["seed"]).shuffle(rows)
    size = max(2, int(trainer["per_device_train_batch_size"]))
    answers = [row.completion_ids for row in rows]
    others: list[list[int]] = []
    for start in range(0, len(rows), size):
        batch = answers[start : start + size]
        # A last row alone in its batch is matched with the one before it.
        others += [batch[-1], *batch[:-1]] if len(batch) > 1 else [answers[start - 1]]
    return {
        "prompt_ids": [row.prompt_ids for row in rows],
        "completion_ids": answers,
        "KL_completion_ids": others,
        "label": [row.label for row in rows],
    }


def _scored(pairs: Sequence[Pair]) -> Columns:
    return {
        "chosen_ids": [[*pair.prompt_ids, *pair.chosen_ids] for pair in pairs],
        "rejected_ids": [[*pair.prompt_ids, *pair.rejected_ids] for pair in pairs],
    }


def _asked(kept: Sequence[Asked], request: dict[str, Any], path: Path) -> Columns:
    """Keep each row as JSON: columns of TRL's tables hold one type, and those of rows may not."""
    names = sorted({name for asked in kept for name in asked.row.fields or {}})
    if taken := _TAKEN & {*names}:
        raise SpecError(
            f"data: {path}: TRL has a use of its own for the column {min(taken)}; "
            f"call it something else, with data: {{mapping: ...}}"
        )
    rewards.require_columns(functions(request), names, where=str(path))
    return {
        "prompt_ids": [asked.prompt_ids for asked in kept],
        "row": [json.dumps(given(asked.row, names)) for asked in kept],
    }


def given(row: Prompt, names: Iterable[str]) -> dict[str, Any]:
    """Give what reward functions see of a row: the prompt, and columns that it may lack."""
    prompt: Any = row.prompt
    if not isinstance(prompt, str):
        prompt = [message.model_dump(exclude_none=True, exclude={"weight"}) for message in prompt]
    fields = row.fields or {}
    return {"prompt": prompt, **{name: fields.get(name) for name in names}}


def functions(request: dict[str, Any]) -> list[rewards.RewardFunction]:
    """Find the reward functions of a request.

    Raises:
        SpecError: one is not there.
    """
    return rewards.load(request.get("rewards") or (), request.get("paths") or ())
