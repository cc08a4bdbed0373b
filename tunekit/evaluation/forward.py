"""Rows through a model, many at once: what it predicts wherever a label counts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunekit.data.tokens import IGNORED, Tokens
from tunekit.evaluation import inference

_MOST_LOGITS = 2**27
"""Logits of a batch: 0.5 GB in float32."""
_TILE = 512
"""Positions whose log-softmax is taken at once."""


@dataclass(frozen=True)
class Scored:
    """How likely a row's labels are."""

    total: float
    """Negative log-likelihood, summed over the labels, in nats."""
    count: int
    """Labels that count."""
    right: tuple[bool, ...] = ()
    """Of each label, whether it is the likeliest token there; empty where nobody looked."""


def score(model: Any, rows: Sequence[Tokens]) -> list[Scored]:
    """Score every row, in order; each in float32, tile by tile."""
    faster = inference.of(model)
    if faster is not None:
        return faster.score(rows)
    found = [Scored(0.0, 0)] * len(rows)
    for row, logits, targets in predictions(model, rows):
        found[row] = _scored(logits, targets)
    return found


def log_probabilities(model: Any, rows: Sequence[Tokens]) -> Iterator[tuple[int, Any]]:
    """Give each row's log-probabilities in float32, [labels, vocabulary], with its number."""
    for row, logits, _ in predictions(model, rows):
        yield row, logits.float().log_softmax(-1)


def predictions(model: Any, rows: Sequence[Tokens]) -> Iterator[tuple[int, Any, Any]]:
    """Give the number of each row that has labels, with logits and labels.

    The logits, [labels, vocabulary], are those that predict the labels. Rows of similar length
    share a batch, padded on the right; the longest come first.
    """
    faster = inference.of(model)
    if faster is not None:
        yield from faster.predictions(rows)
        return
    for batch in _batches(model, rows):
        yield from _batch(model, rows, batch)


def _batches(model: Any, rows: Sequence[Tokens]) -> Iterator[list[int]]:
    order = [n for n, row in enumerate(rows) if _targets(row.labels)]
    order.sort(key=lambda n: -len(rows[n].input_ids))
    budget = max(1, _MOST_LOGITS // model.config.get_text_config().vocab_size)
    while order:
        size = max(1, budget // len(rows[order[0]].input_ids))
        yield order[:size]
        order = order[size:]


def _padded(model: Any, rows: Sequence[Tokens], batch: Sequence[int]) -> dict[str, Any]:
    """Give tokens and mask of a batch, [rows, longest]."""
    import torch

    width = max(len(rows[n].input_ids) for n in batch)
    device = next(model.parameters()).device
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, n in enumerate(batch):
        tokens = rows[n].input_ids
        ids[place, : len(tokens)] = torch.tensor(tokens)
        mask[place, : len(tokens)] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def _batch(
    model: Any, rows: Sequence[Tokens], batch: Sequence[int]
) -> Iterator[tuple[int, Any, Any]]:
    import torch

    given = _padded(model, rows, batch)
    device, width = given["input_ids"].device, given["input_ids"].shape[1]
    first = min(_targets(rows[n].labels)[0] for n in batch) - 1
    logits = model(
        **given,
        use_cache=False,
        **_last(model, width - first),
    ).logits
    # A model that cannot leave positions out gives them all.
    first = width - logits.shape[1]
    for place, n in enumerate(batch):
        at = torch.tensor(_targets(rows[n].labels), device=device)
        labels = torch.tensor(rows[n].labels, device=device)[at]
        yield n, logits[place][at - 1 - first], labels


def _scored(logits: Any, targets: Any) -> Scored:
    import torch

    total = 0.0
    right: list[bool] = []
    for start in range(0, len(targets), _TILE):
        tile = slice(start, start + _TILE)
        nll = torch.nn.functional.cross_entropy(
            logits[tile].float(), targets[tile], reduction="none"
        )
        total += nll.double().sum().item()
        right += (logits[tile].argmax(-1) == targets[tile]).tolist()
    return Scored(total, len(right), tuple(right))


def _targets(labels: Sequence[int]) -> list[int]:
    """Give the positions that count; nothing predicts the first."""
    return [n for n, label in enumerate(labels) if label != IGNORED and n > 0]


def _last(model: Any, positions: int) -> dict[str, int]:
    """Ask for the logits of the last positions only, where the model knows how."""
    return {"logits_to_keep": positions} if "logits_to_keep" in accepted(model) else {}


def accepted(model: Any) -> set[str]:
    """Give the arguments that a model's forward takes, also where a trainer has wrapped it."""
    base = inference.inner(model)
    own = inspect.signature(base.forward).parameters
    if any(each.kind is each.VAR_KEYWORD for each in own.values()):
        kind: Any = base.__class__
        return {*own, *inspect.signature(kind.forward).parameters}
    return set(own)
