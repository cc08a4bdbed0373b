"""Measure a model on held-out rows without leaving a trace: no gradient, no random number drawn."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Sequence
from typing import Any

from tunekit.data.tokens import IGNORED, Pair, Prompt, Tokens
from tunekit.evaluation.forward import Scored, score
from tunekit.evaluation.generate import answers
from tunekit.evaluation.measurement import Measurement


def measure(
    model: Any,
    tokenizer: Any,
    *,
    tokens: Sequence[Tokens],
    prompts: Sequence[Prompt],
    max_new_tokens: int,
) -> Measurement:
    """Measure loss and perplexity on `tokens`, and take the greedy answers to `prompts`.

    The loss is the mean over all tokens that have a label, in nats; every token weighs the same,
    however long its row. `model` is a causal language model or a PEFT model around one.
    """
    with undisturbed(model):
        found = score(model, tokens)
        said = answers(model, tokenizer, prompts, length=max_new_tokens)
    return measurement(found, said)


def measurement(found: Sequence[Scored], answers: Sequence[str] = ()) -> Measurement:
    """Make a measurement of scored rows; every token weighs the same."""
    count = sum(row.count for row in found)
    loss = math.fsum(row.total for row in found) / count if count else None
    return Measurement(
        loss=loss,
        perplexity=None if loss is None else _exp(loss),
        tokens=count,
        rows=tuple((row.total, row.count) for row in found),
        answers=tuple(answers),
    )


def measure_pairs(model: Any, pairs: Sequence[Pair]) -> tuple[tuple[float, float], ...]:
    """Give the log-probability of each chosen and rejected answer, summed over its tokens."""
    rows = [
        Tokens([*pair.prompt_ids, *answer], [IGNORED] * len(pair.prompt_ids) + list(answer))
        for pair in pairs
        for answer in (pair.chosen_ids, pair.rejected_ids)
    ]
    with undisturbed(model):
        found = [-row.total for row in score(model, rows)]
    return tuple(zip(found[::2], found[1::2], strict=True))


@contextlib.contextmanager
def undisturbed(model: Any) -> Generator[None, None, None]:
    """Evaluate inside the block; afterwards every module and random generator is as before."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    model.eval()
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _exp(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
