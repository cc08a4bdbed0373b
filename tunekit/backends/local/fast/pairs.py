"""Portions of pairs, joined: each pair's loss weighs what it would in a portion of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from tunekit.backends.local.fast import portions
from tunekit.backends.local.fast.portions import Batch

_TOKENS = {"input_ids", "attention_mask", "completion_mask"}
"""Of a batch: those that were chosen, then those that were rejected, padded on the right."""
_REFERENCES = {"ref_chosen_logps", "ref_rejected_logps"}
"""A number for each pair, where the reference was asked before."""
_PORTIONS = "portions"
"""Beside a joined batch: how many it was made of."""
_MEANS = {"sigmoid", "hinge", "robust", "sigmoid_norm", "ipo"}
"""TRL's losses that are a mean over pairs, none of which knows of the others."""


def weigh_alike(request: dict[str, Any]) -> bool:
    """Say whether the loss of a portion is a mean over its pairs."""
    objective: str = request["objective"]
    if objective == "simpo":
        return True
    kinds = request["trainer"].get("loss_type", "sigmoid")
    # The likelihood in ORPO and CPO is a mean over tokens.
    means = set([kinds] if isinstance(kinds, str) else kinds) <= _MEANS
    return objective in ("dpo", "ipo") and means


def weigh(trainer: Any) -> None:
    """Let a joined portion count for those that it was made of, in the loss and in the log."""
    before = trainer.compute_loss

    def compute_loss(model: Any, inputs: Batch, *given: Any, **named: Any) -> Any:
        count = int(inputs.pop(_PORTIONS, 1))
        noted: dict[str, list[float]] = trainer._metrics["train"]
        lengths = {name: len(values) for name, values in noted.items()}
        found = before(model, inputs, *given, **named)
        for name, values in noted.items():
            if len(values) > lengths.get(name, 0):
                values.extend(values[-1:] * (count - 1))
        return found * count

    trainer.compute_loss = compute_loss


def joined(given: Sequence[Batch], *, most: int) -> list[Batch]:
    """Join portions; where they have different numbers of pairs, as at an epoch's end, none."""
    if len(given) < 2 or not _alike(given):
        return [*given]
    return portions.joined(given, most=most, tokens=_tokens, cat=_cat)


def _tokens(portion: Batch) -> int:
    return int(portion["attention_mask"].sum())


def _alike(given: Sequence[Batch]) -> bool:
    names = given[0].keys()
    known = _TOKENS <= names <= _TOKENS | _REFERENCES
    sizes = {len(portion["input_ids"]) for portion in given}
    return known and len(sizes) == 1 and all(portion.keys() == names for portion in given)


def _cat(group: Sequence[Batch]) -> Batch:
    width = max(int(portion["input_ids"].shape[1]) for portion in group)
    found: Batch = {}
    for name in group[0]:
        parts: list[Tensor] = [portion[name] for portion in group]
        found[name] = torch.cat(parts) if name in _REFERENCES else _sides(parts, width)
    return {**found, _PORTIONS: len(group)}


def _sides(parts: Sequence[Tensor], width: int) -> Tensor:
    """Put those that were chosen before those that were rejected."""
    wide = [pad(part, (0, width - part.shape[1])) for part in parts]
    sides = zip(*(part.chunk(2) for part in wide), strict=True)
    return torch.cat([each for side in sides for each in side])
