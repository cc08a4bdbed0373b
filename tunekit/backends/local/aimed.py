"""The held-out rows as the objective itself measures them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tunekit.backends.local.columns import functions, given
from tunekit.backends.local.rows import asked, judged, tokens
from tunekit.data.rows import Judged, Preference, Prompt, Row, Text
from tunekit.data.tokens import IGNORED, Asked, Judgement, Tokens
from tunekit.evaluation import aims
from tunekit.evaluation.rewards import RewardFunction


@dataclass(frozen=True)
class Aimed:
    """Judged answers, or prompts with what reward functions see of their rows."""

    judged: Sequence[Judgement] = ()
    asked: Sequence[tuple[Asked, str]] = ()
    functions: Sequence[RewardFunction] = ()
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the trainer."""
    scores: bool = False
    """The model gives scores and writes nothing."""

    @classmethod
    def read(cls, rows: Sequence[Row], request: dict[str, Any], tokenizer: Any) -> Aimed:
        """Tokenise the rows that the objective of a request has a measure for."""
        objective, settings = request["objective"], request["trainer"]
        limit = request["data"]["max_length"]
        if objective == "kto":
            return cls(
                judged=judged([row for row in rows if isinstance(row, Judged)], tokenizer, limit)
            )
        if objective != "grpo":
            return cls(scores=objective == "reward")
        room = limit - int(settings["max_completion_length"])
        prompts = asked(rows, tokenizer, room=room)[: request["evaluation"]["generations"]]
        names = sorted({name for one in prompts for name in one.row.fields or {}})
        found = [(one, json.dumps(given(one.row, names))) for one in prompts]
        return cls(asked=found, functions=functions(request), settings=settings)

    def measure(self, model: Any, tokenizer: Any) -> dict[str, tuple[float, ...]]:
        """Measure the model as it is at this moment."""
        if self.judged:
            return {"judged_margin": aims.judged_margin(model, self.judged)}
        if not self.asked:
            return {}
        found = aims.rewards(
            model,
            tokenizer,
            self.asked,
            self.functions,
            weights=self.settings.get("reward_weights"),
            length=int(self.settings["max_completion_length"]),
        )
        return {"reward": found}


def has_reference(row: Row) -> bool:
    """Say whether a row holds an answer that others can be compared with."""
    if isinstance(row, Judged):
        return row.label
    if isinstance(row, Prompt):
        return isinstance((row.fields or {}).get("answer"), str)
    return not isinstance(row, Text)


def imitated(rows: Sequence[Row], request: dict[str, Any], tokenizer: Any) -> list[Tokens]:
    """Tokenise the answers whose likelihood is measured: those that are good as they are."""
    wanted = request["data"]
    if request["objective"] in ("reward", "grpo"):
        return []
    if isinstance(rows[0], (Judged, Preference)):
        found = judged(rows, tokenizer, wanted["max_length"])
        return [_answer(row) for row in found if row.label]
    return tokens(rows, tokenizer, wanted["train_on"], wanted["max_length"])


def _answer(row: Judgement) -> Tokens:
    return Tokens(
        input_ids=[*row.prompt_ids, *row.completion_ids],
        labels=[IGNORED] * len(row.prompt_ids) + row.completion_ids,
        where=row.where,
    )
