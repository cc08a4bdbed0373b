"""Choose what computes a model where it lies: compiled kernels, torch's own, or plain passes."""

from __future__ import annotations

from typing import Any

import torch

from tunekit.backends.local.fast.attention import Attention
from tunekit.backends.local.fast.compiled import Uncompiled
from tunekit.backends.local.fast.fused import Fused
from tunekit.backends.local.fast.native import Native
from tunekit.backends.local.fast.operations import Operations, compiled
from tunekit.backends.local.fast.unsuited import Unsuited


def attention(model: Any) -> Attention | None:
    """Choose who computes attention: torch's kernels on a GPU, blocks of products elsewhere."""
    weight = model.get_input_embeddings().weight
    return Fused(weight.device, weight.dtype) if weight.device.type == "cuda" else None


def operations(model: Any) -> tuple[Operations, str]:
    """Choose what runs between the products; say what is missing.

    Raises:
        Unsuited: the precision is none that is known here.
    """
    weight = model.get_input_embeddings().weight
    if weight.dtype not in (torch.float32, torch.bfloat16):
        raise Unsuited(f"the weights are {weight.dtype}")
    if weight.device.type == "cuda":
        return compiled(weight.device, weight.dtype), ""
    try:
        return Native(weight.dtype), ""
    except Uncompiled as why:
        return Operations(), f", and slower than it could be: {why}"
