"""What an objective itself wants more of, measured item by item on held-out rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tunekit.data.tokens import IGNORED, Asked, Judgement, Pair, Prompt, Tokens
from tunekit.evaluation.forward import score
from tunekit.evaluation.generate import answers
from tunekit.evaluation.measure import undisturbed
from tunekit.evaluation.rewards import RewardFunction

_TOKENS = 8_192
"""Tokens that a model scores at once."""


def judged_margin(model: Any, judged: Sequence[Judgement]) -> tuple[float, ...]:
    """Give the log-probability of each wanted answer, and that of each unwanted one negated.

    What the tuned model has more than the base is the log-ratio that KTO raises for wanted answers
    and lowers for others (Ethayarajh et al. 2024, arXiv 2402.01306).
    """
    rows = [
        Tokens(
            [*row.prompt_ids, *row.completion_ids],
            [IGNORED] * len(row.prompt_ids) + row.completion_ids,
        )
        for row in judged
    ]
    with undisturbed(model):
        found = score(model, rows)
    both = zip(judged, found, strict=True)
    return tuple(-row.total if judgement.label else row.total for judgement, row in both)


def scores(model: Any, pairs: Sequence[Pair]) -> tuple[tuple[float, float], ...]:
    """Give what a reward model makes of the chosen and the rejected answer of each pair."""
    rows = [
        [*pair.prompt_ids, *answer]
        for pair in pairs
        for answer in (pair.chosen_ids, pair.rejected_ids)
    ]
    with undisturbed(model):
        found = _scored(model, rows)
    return tuple(zip(found[::2], found[1::2], strict=True))


def _scored(model: Any, rows: Sequence[Sequence[int]]) -> list[float]:
    """Score rows of similar length together, padded on the right."""
    import torch

    pad = model.config.get_text_config().pad_token_id
    device = next(model.parameters()).device
    found = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda n: -len(rows[n]))
    while order:
        width = len(rows[order[0]])
        batch, order = order[: max(1, _TOKENS // width)], order[max(1, _TOKENS // width) :]
        ids = torch.full((len(batch), width), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for at, n in enumerate(batch):
            ids[at, : len(rows[n])] = torch.tensor(rows[n])
            mask[at, : len(rows[n])] = 1
        given = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
        made = model(**given, use_cache=False).logits[:, 0].float().tolist()
        for n, number in zip(batch, made, strict=True):
            found[n] = number
    return found


def rewards(
    model: Any,
    tokenizer: Any,
    asked: Sequence[tuple[Asked, str]],
    functions: Sequence[RewardFunction],
    *,
    weights: Sequence[float] | None,
    length: int,
) -> tuple[float, ...]:
    """Give the weighted sum of all rewards of the greedy answer to each prompt, as GRPO has it.

    Args:
        model: a causal language model or a PEFT model around one.
        tokenizer: its own.
        asked: prompts, with what reward functions see of their rows, as JSON.
        functions: each gives one number, or None, which counts as 0, for each answer.
        weights: of the functions; None is 1 each.
        length: tokens of an answer at most.

    Raises:
        SpecError: a reward function fails.
    """
    prompts = [Prompt(row.prompt_ids, "", "") for row, _ in asked]
    with undisturbed(model):
        said = answers(model, tokenizer, prompts, length=length)
    rows = [json.loads(row) for _, row in asked]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    given = columns.pop("prompt", [])
    completions: list[Any] = list(said)
    if given and not isinstance(given[0], str):
        completions = [[{"role": "assistant", "content": text}] for text in said]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in said]
    totals = [0.0] * len(said)
    for function, weight in zip(functions, weights or [1.0] * len(functions), strict=True):
        found = function(prompts=given, completions=completions, completion_ids=ids, **columns)
        for n, given_score in enumerate(found):
            totals[n] += weight * (given_score or 0.0)
    return tuple(totals)
