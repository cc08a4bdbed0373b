"""How many weights a method trains, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from tunekit.planning import bottleneck
from tunekit.planning.shape import Shape, adapted
from tunekit.spec.methods import (
    BOFT,
    IA3,
    OFT,
    AdaLoRA,
    AnyMethod,
    Bottleneck,
    Full,
    LNTuning,
    LoHa,
    LoKr,
    LoRA,
    Peft,
    Prefix,
    Prompt,
    PTuning,
    QLoRA,
    VeRA,
)

Layer = tuple[int, int]
"""Inputs and outputs of a linear layer."""


def trained(size: Shape, method: AnyMethod, *, rank: int) -> int:
    """Count the weights that learn; `rank` is that of LoRA, QLoRA and AdaLoRA, once chosen.

    The formulas are the shapes of PEFT 0.21, for the matrices of a Llama layer. A method of
    `Peft(config=...)` counts as a LoRA of its `r`.
    """
    if isinstance(method, Full):
        return _blocks(size, method.last_layers)
    if isinstance(method, IA3):
        return _ia3(size, method)
    if type(method) in _WHOLE:
        return _WHOLE[type(method)](size, method)
    if isinstance(method, Peft):
        rank = int(method.config.get("r") or 8)
    each = _LAYERS.get(type(method), _low_rank)
    return size.layers * sum(each(layer, method, rank) for _, layer in layers(size, method))


def layers(size: Shape, method: AnyMethod) -> Iterator[tuple[str, Layer]]:
    """Give the linear layers of a block that a method adapts, with their sizes."""
    targets: Any = getattr(method, "target_modules", None)
    if isinstance(method, Peft):
        targets = method.config.get("target_modules", "all-linear")
    if targets in (None, "all-norms") or isinstance(method, Full):
        return
    # A regular expression may mean any of them.
    found = adapted("all-linear" if isinstance(targets, str) else targets)
    every = {
        "q_proj": (size.h, size.q),
        "k_proj": (size.h, size.k),
        "v_proj": (size.h, size.k),
        "o_proj": (size.q, size.h),
        "gate_proj": (size.h, size.i),
        "up_proj": (size.h, size.i),
        "down_proj": (size.i, size.h),
    }
    yield from ((name, layer) for name, layer in every.items() if name in found)


def _blocks(size: Shape, last: int | None) -> int:
    if last is None:
        return size.parameters
    # Beside its blocks a model has embeddings, perhaps a head, and one more norm.
    return round((size.parameters - size.embeddings - size.h) * last / size.layers)


def _low_rank(layer: Layer, method: Any, rank: int) -> int:
    magnitude = layer[1] if getattr(method, "use_dora", False) else 0
    return rank * sum(layer) + magnitude


def _adalora(layer: Layer, method: Any, rank: int) -> int:
    first = method.initial_rank or math.ceil(1.5 * rank)
    return int(first * (sum(layer) + 1))


def _ia3(size: Shape, method: IA3) -> int:
    inner = method.feedforward_modules
    found = layers(size, method)
    return size.layers * sum(layer[0] if name in inner else layer[1] for name, layer in found)


def _vera(layer: Layer, method: Any, rank: int) -> int:
    return int(method.rank + layer[1])


def _loha(layer: Layer, method: Any, rank: int) -> int:
    return int(2 * method.rank * sum(layer))


def _lokr(layer: Layer, method: Any, rank: int) -> int:
    """Two matrices, each written as a low-rank product where that is smaller."""
    (m, n), (small, large) = (factors(side, method.decompose_factor) for side in layer)
    first = small * m
    if method.decompose_both and method.rank < max(small, m) / 2:
        first = method.rank * (small + m)
    second = large * n
    if method.rank < max(large, n) / 2:
        second = method.rank * (large + n)
    return int(first + second)


def factors(dimension: int, factor: int) -> tuple[int, int]:
    """Split a dimension as LyCORIS does: one part is `factor` or less, -1: near the square root."""
    if factor > 0 and dimension % factor == 0:
        # LyCORIS leaves the order alone here.
        return factor, dimension // factor
    most = dimension if factor == -1 else factor
    small = max(n for n in range(1, math.isqrt(dimension) + 1) if dimension % n == 0 and n <= most)
    return small, dimension // small


def _oft(layer: Layer, method: Any, rank: int) -> int:
    block = method.block_size
    blocks = 1 if method.block_share else layer[0] // block
    return int(blocks * block * (block - 1) // 2)


def _boft(layer: Layer, method: Any, rank: int) -> int:
    return int(method.butterfly_factors * layer[0] * method.block_size + layer[1])


def _prefix(size: Shape, method: Any) -> int:
    return int(method.num_virtual_tokens * size.layers * 2 * size.k)


def _prompt(size: Shape, method: Any) -> int:
    return int(method.num_virtual_tokens * size.h)


def _ptuning(size: Shape, method: Any) -> int:
    """Embeddings, and the network behind them."""
    h, inner = size.h, method.encoder_hidden_size or size.h
    start = method.num_virtual_tokens * h
    if method.encoder == "mlp":
        return int(start + (h + 1) * inner + (inner + 1) * inner + (inner + 1) * h)
    # Each direction of an LSTM has four gates, with two biases each.
    first = 2 * 4 * inner * (h + inner + 2)
    later = 2 * 4 * inner * (2 * inner + inner + 2)
    head = (2 * inner + 1) * 2 * inner + (2 * inner + 1) * h
    return int(start + first + (method.encoder_num_layers - 1) * later + head)


def _norms(size: Shape, method: Any) -> int:
    """Two norms in a block and one at the end; those inside attention are not counted."""
    return (2 * size.layers + 1) * size.h


_LAYERS: dict[type[AnyMethod], Callable[[Layer, Any, int], int]] = {
    LoRA: _low_rank,
    QLoRA: _low_rank,
    AdaLoRA: _adalora,
    VeRA: _vera,
    LoHa: _loha,
    LoKr: _lokr,
    OFT: _oft,
    BOFT: _boft,
}
"""Methods that adapt linear layers: the weights of one."""
_WHOLE: dict[type[AnyMethod], Callable[[Shape, Any], int]] = {
    Prefix: _prefix,
    Prompt: _prompt,
    PTuning: _ptuning,
    LNTuning: _norms,
    Bottleneck: bottleneck.trained,
}
"""The others: the weights of all."""
