"""Passes by tokens: the portions of a step are joined while they fit in one pass.

How many rows a portion has is planned by the longest row, so that any of them would fit. Most
rows are shorter, and a pass over few tokens is slow. Which rows make a step, and its gradient, stay
what they are: every label counts as one of the step's.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from tunekit.backends.local.fast.stream import IGNORED

Batch = dict[str, Any]
_JOINED = ("input_ids", "labels", "position_ids")


def gather(trainer: Any, request: dict[str, Any]) -> None:
    """Let a trainer of one process join the portions of each step.

    Only where the loss is a sum over labels: means over portions would weigh otherwise.
    """
    wanted: dict[str, Any] = request["trainer"]
    if request["objective"] != "sft" or wanted.get("gradient_accumulation_steps", 1) == 1:
        return
    if trainer.accelerator.num_processes > 1:
        # Each process would have another number of passes, and they wait for each other in each.
        return
    most = int(wanted["per_device_train_batch_size"]) * _longest(trainer.train_dataset)
    portions, step = trainer.get_batch_samples, trainer.training_step

    def get_batch_samples(*given: Any, **named: Any) -> tuple[list[Batch], Any]:
        found, labels = portions(*given, **named)
        return (found if labels is None else joined(found, most)), labels

    def training_step(model: Any, inputs: Batch, *given: Any, **named: Any) -> Any:
        if not inputs["input_ids"].shape[1]:
            return torch.zeros((), device=trainer.args.device)
        return step(model, inputs, *given, **named)

    trainer.get_batch_samples, trainer.training_step = get_batch_samples, training_step


def _longest(rows: Any) -> int:
    """Count the tokens of the longest row, from Arrow's offsets: lists would be made of all."""
    compute: Any = import_module("pyarrow.compute")
    column = rows.with_format("arrow")[:]["input_ids"]
    return int(compute.max(compute.list_value_length(column)).as_py())


def joined(portions: Sequence[Batch], most: int) -> list[Batch]:
    """Join neighbours up to so many tokens; as many portions as before, empty ones first."""
    rows = [_row(portion) for portion in portions]
    plain = [row for row in rows if row is not None]
    if len(plain) < len(rows):
        return [*portions]
    groups: list[list[Batch]] = []
    tokens = 0
    for row in plain:
        size = int(row["input_ids"].shape[1])
        if not groups or tokens + size > most:
            groups.append([])
            tokens = 0
        groups[-1].append(row)
        tokens += size
    found = [_cat(group) for group in groups]
    empty = [{name: each[:, :0] for name, each in plain[0].items()}] * (len(portions) - len(found))
    return [*empty, *found]


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


def _mask(portion: Batch) -> Tensor:
    mask: Tensor | None = portion.get("attention_mask")
    return torch.ones(()) if mask is None else mask


def _cat(group: Sequence[Batch]) -> Batch:
    return {name: torch.cat([row[name] for row in group], dim=1) for name in _JOINED}
