"""What our own forward and backward passes hold, tensor by tensor (backends/local/fast)."""

from __future__ import annotations

from tunekit.planning.shape import Shape

TILE = {"cpu": 50_000_000, "cuda": 500_000_000}
"""Bytes of the logits that are computed at once, by device: enough for products at full speed.

A GPU wants some thousand rows for that, since each tile reads the head twice.
"""
SHELF = 64_000_000
"""Bytes of unpacked weights that wait for the backward pass."""
_COLUMNS = 8
"""Adapters' columns of a layer beside its joint products and inputs, in ranks: three of queries,
keys and values and two of gate and up stand in both, one each beside attention and the MLP."""


def kept(size: Shape, tokens: int, *, width: int, rank: int, checkpointing: bool) -> float:
    """Give the bytes that all layers keep until the backward pass reaches them."""
    each = width * size.h if checkpointing else _layer(size, width, rank)
    return float(size.layers * tokens * each)


def passing(size: Shape, tokens: int, *, width: int, rank: int, checkpointing: bool) -> float:
    """Give the bytes of one layer's backward pass, and of computing it again where asked.

    Beside the gradient of the stream: that of the inside of the MLP, or of queries, keys and
    values, the latter two also in float32.
    """
    again = _layer(size, width, rank) if checkpointing else 0
    mlp = width * size.i
    attention = width * (3 * size.q + 4 * size.k) + 8 * size.k
    return float(tokens * (again + 2 * width * size.h + max(mlp, attention)))


def loss(size: Shape, tokens: int, *, width: int, tile: int) -> float:
    """Give the bytes of the logits of a tile and of the labels' hidden states and gradients."""
    return float(min(tile, width * tokens * size.vocabulary) + 3 * width * size.h * tokens)


def _layer(size: Shape, width: int, rank: int) -> int:
    """Count the bytes of a layer per token."""
    sums, joint, attended, both = 2 * size.h, size.q + 2 * size.k, size.q, 2 * size.i
    scales = 2 * 4
    return width * (sums + joint + attended + both + (_COLUMNS + 4) * rank) + scales
