"""The blocks of a decoder, and in each the sub-layers that an adapter stands behind."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from tunekit.errors import AdapterError

ATTENTION = ("self_attn", "attention", "attn", "self_attention")
"""How transformers calls the attention of a block."""
MLP = ("mlp", "feed_forward", "fc2")
"""How it calls the MLP; OPT's blocks hold its two layers themselves, and `fc2` is the last."""

Blocks = list[tuple[str, Any]]


def sublayers(model: Any, placement: str) -> list[str]:
    """Name the modules of a transformers model whose outputs are adapted, in order.

    Houlsby et al. 2019 (arXiv 1902.00751) put a network behind the attention and behind the MLP
    of each block, before the residual connection; Pfeiffer et al. 2020 (arXiv 2005.00247) behind
    the MLP only.

    Raises:
        AdapterError: the model has no such blocks, or one of them is built otherwise.
    """
    wanted = (ATTENTION, MLP) if placement == "houlsby" else (MLP,)
    blocks = max(_lists(model), key=len, default=None)
    if blocks is None:
        kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
        raise AdapterError(
            f"{kind}: a bottleneck adapter needs blocks with an attention ({', '.join(ATTENTION)}) "
            f"and an MLP ({', '.join(MLP)}), and this model has none; use method: lora"
        )
    return [f"{place}.{_child(place, block, names)}" for place, block in blocks for names in wanted]


def _lists(model: Any) -> Iterator[Blocks]:
    """Give every list of blocks in the decoder; a model of text and images has others too."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    start = next(name for name, module in model.named_modules() if module is decoder)
    for name, module in model.named_modules():
        if name.startswith(start) and type(module).__name__ == "ModuleList":
            blocks = [(f"{name}.{number}", block) for number, block in enumerate(module)]
            if any(set(ATTENTION + MLP) & _children(block) for _, block in blocks):
                yield blocks


def _child(place: str, block: Any, names: tuple[str, ...]) -> str:
    found = next((name for name in names if name in _children(block)), None)
    if found is None:
        way = "placement: pfeiffer, or method: lora" if names is ATTENTION else "method: lora"
        raise AdapterError(
            f"{place}: this block has no {' or '.join(names)}, only "
            f"{', '.join(sorted(_children(block)))}; use {way}"
        )
    if "residual" in inspect.signature(getattr(block, found).forward).parameters:
        raise AdapterError(
            f"{place}.{found}: adds the residual connection itself, and a bottleneck adapter "
            "stands before it; use method: lora"
        )
    return found


def _children(block: Any) -> set[str]:
    return {name for name, _ in block.named_children()}
