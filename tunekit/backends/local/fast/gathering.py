"""Passes by tokens: the portions of a step are joined while they fit in one pass.

How many rows a portion has is planned by the longest row, so that any of them would fit. Most
rows are shorter, and a pass over few tokens is slow. Which rows make a step, and its gradient, stay
what they are: every label counts as one of the step's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from tunekit.backends.local.fast import pairs, portions
from tunekit.backends.local.fast.portions import Batch
from tunekit.backends.local.fast.stream import IGNORED

_JOINED = ("input_ids", "labels", "position_ids")


def gather(trainer: Any, request: dict[str, Any]) -> None:
    """Let a trainer of one process join the portions of each step.

    Only where a portion's loss is a sum over labels, or a mean over pairs that is weighed by their
    number: others would come out otherwise.
    """
    wanted: dict[str, Any] = request["trainer"]
    if wanted.get("gradient_accumulation_steps", 1) == 1:
        return
    if trainer.accelerator.num_processes > 1:
        # Each process would have another number of passes, and they wait for each other in each.
        return
    size, rows = int(wanted["per_device_train_batch_size"]), trainer.train_dataset
    if pairs.weigh_alike(request):
        _join(trainer, partial(pairs.joined, most=2 * size * longest_pair(rows)))
        pairs.weigh(trainer)
    elif request["objective"] == "sft":
        _join(trainer, partial(joined, most=size * longest(rows)), counted=True)


def _join(
    trainer: Any, join: Callable[[Sequence[Batch]], list[Batch]], *, counted: bool = False
) -> None:
    """Let each step's portions be joined; with `counted` only where labels have been counted."""
    samples, step = trainer.get_batch_samples, trainer.training_step

    def get_batch_samples(*given: Any, **named: Any) -> tuple[list[Batch], Any]:
        found, labels = samples(*given, **named)
        return (found if counted and labels is None else join(found)), labels

    def training_step(model: Any, inputs: Batch, *given: Any, **named: Any) -> Any:
        if not inputs["input_ids"].numel():
            return torch.zeros((), device=trainer.args.device)
        return step(model, inputs, *given, **named)

    trainer.get_batch_samples, trainer.training_step = get_batch_samples, training_step


def longest(rows: Any) -> int:
    """Count the tokens of the longest row."""
    (lengths,) = _lengths(rows, "input_ids")
    return int(_arrow().max(lengths).as_py())


def longest_pair(rows: Any) -> int:
    """Count the tokens of the longest prompt with one of its answers."""
    compute = _arrow()
    prompt, chosen, rejected = _lengths(rows, "prompt_ids", "chosen_ids", "rejected_ids")
    answer = compute.max_element_wise(chosen, rejected)
    return int(compute.max(compute.add(prompt, answer)).as_py())


def _lengths(rows: Any, *names: str) -> list[Any]:
    """Give the lengths of lists from Arrow's offsets: lists would be made of all."""
    columns = rows.with_format("arrow")[:]
    return [_arrow().list_value_length(columns[name]) for name in names]


def _arrow() -> Any:
    return import_module("pyarrow.compute")


def joined(given: Sequence[Batch], most: int) -> list[Batch]:
    """Join portions of rows that need no padding; leave others as they are."""
    rows = [_row(portion) for portion in given]
    plain = [row for row in rows if row is not None]
    if len(plain) < max(2, len(rows)):
        return [*given]
    return portions.joined(plain, most=most, tokens=_tokens, cat=_cat)


def _row(portion: Batch) -> Batch | None:
    """Give a portion as rows in one, told apart by positions; None where rows are padded."""
    ids: Tensor = portion["input_ids"]
    if len(ids) != 1 or not bool(_mask(portion).all()):
        return None
    positions = portion.get("position_ids")
    if positions is None:
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
    labels = portion["labels"].clone()
    # Nothing predicts the first token of a row, and behind another row something would.
    labels[positions == 0] = IGNORED
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


def _tokens(row: Batch) -> int:
    return int(row["input_ids"].shape[1])


def _mask(portion: Batch) -> Tensor:
    mask: Tensor | None = portion.get("attention_mask")
    return torch.ones(()) if mask is None else mask


def _cat(group: Sequence[Batch]) -> Batch:
    return {name: torch.cat([row[name] for row in group], dim=1) for name in _JOINED}
