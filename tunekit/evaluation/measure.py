"""Measure a model on held-out rows without leaving a trace: no gradient, no random number drawn."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Generator, Sequence
from typing import Any

from tunekit.data.tokens import IGNORED, Pair, Prompt, Tokens
from tunekit.evaluation.compare import Measurement
from tunekit.evaluation.generate import answers

_MOST_LOGITS = 2**27
"""Logits of a batch: 0.5 GB in float32."""
_TILE = 512
"""Positions whose log-softmax is taken at once."""


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
        found = _score(model, [(row.input_ids, row.labels) for row in tokens])
        said = answers(model, tokenizer, prompts, length=max_new_tokens)
    count = sum(number for _, number in found)
    loss = math.fsum(total for total, _ in found) / count if count else None
    return Measurement(
        loss=loss,
        perplexity=None if loss is None else _exp(loss),
        tokens=count,
        answers=tuple(said),
    )


def measure_pairs(model: Any, pairs: Sequence[Pair]) -> tuple[tuple[float, float], ...]:
    """Give the log-probability of each chosen and rejected answer, summed over its tokens."""
    rows = [
        ([*pair.prompt_ids, *answer], [IGNORED] * len(pair.prompt_ids) + list(answer))
        for pair in pairs
        for answer in (pair.chosen_ids, pair.rejected_ids)
    ]
    with undisturbed(model):
        found = [-total for total, _ in _score(model, rows)]
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


Labelled = tuple[Sequence[int], Sequence[int]]


def _score(model: Any, rows: Sequence[Labelled]) -> list[tuple[float, int]]:
    """Give the summed negative log-likelihood of each row's labels, and how many there are."""
    found = [(0.0, 0)] * len(rows)
    order = [n for n, (_, labels) in enumerate(rows) if _targets(labels)]
    order.sort(key=lambda n: -len(rows[n][0]))
    budget = max(1, _MOST_LOGITS // model.config.get_text_config().vocab_size)
    at = 0
    while at < len(order):
        width = len(rows[order[at]][0])
        batch = order[at : at + max(1, budget // width)]
        totals = _batch(model, [rows[n] for n in batch])
        for n, total in zip(batch, totals, strict=True):
            found[n] = (total, len(_targets(rows[n][1])))
        at += len(batch)
    return found


def _batch(model: Any, rows: Sequence[Labelled]) -> list[float]:
    """Run rows of similar length, padded on the right, the longest first."""
    import torch

    width = len(rows[0][0])
    device = next(model.parameters()).device
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for n, (tokens, _) in enumerate(rows):
        ids[n, : len(tokens)] = torch.tensor(tokens)
        mask[n, : len(tokens)] = 1
    first = min(_targets(labels)[0] for _, labels in rows) - 1
    logits = model(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        use_cache=False,
        **_last(model, width - first),
    ).logits
    # A model that cannot leave positions out gives them all.
    first = width - logits.shape[1]
    return [_nll(logits[n], labels, first) for n, (_, labels) in enumerate(rows)]


def _nll(logits: Any, labels: Sequence[int], first: int) -> float:
    """Sum the negative log-likelihood in float32, tile by tile.

    `logits` is [positions, vocabulary]; its row 0 stands at position `first` and predicts the next.
    """
    import torch

    at = _targets(labels)
    places = torch.tensor(at, device=logits.device) - 1 - first
    targets = torch.tensor([labels[n] for n in at], device=logits.device)
    total = 0.0
    for start in range(0, len(at), _TILE):
        tile = slice(start, start + _TILE)
        chosen = logits[places[tile]].float()
        nll = torch.nn.functional.cross_entropy(chosen, targets[tile], reduction="none")
        total += nll.double().sum().item()
    return total


def _targets(labels: Sequence[int]) -> list[int]:
    """Give the positions that count; nothing predicts the first."""
    return [n for n, label in enumerate(labels) if label != IGNORED and n > 0]


def _last(model: Any, positions: int) -> dict[str, int]:
    """Ask for the logits of the last positions only, where the model knows how."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    known = inspect.signature(inner.forward).parameters
    return {"logits_to_keep": positions} if "logits_to_keep" in known else {}


def _exp(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
