"""The passes between matrix products, each one kernel of native.c."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import override

from tunekit.backends.local.fast.blocks import Block
from tunekit.backends.local.fast.compiled import folder, library, machine
from tunekit.backends.local.fast.operations import Angles, Heads, Norm, Operations, Scores, rows_of
from tunekit.backends.local.fast.products import Products
from tunekit.backends.local.fast.reordered import reordered

_KINDS = {"*": ctypes.c_void_p, "n": ctypes.c_int64, "f": ctypes.c_float, "?": ctypes.c_int}
_ARGUMENTS = {
    "norm_forward": "*n*n**f*n*nn",
    "norm_backward": "*n*n***n*nnn",
    "gated_forward": "*n*nnn?",
    "gated_backward": "*n*nnn?",
    "split_heads": "*n****f***nnnn",
    "join_heads": "*n****f***nnnn",
    "softmax_forward": "****f*nnnn",
    "softmax_backward": "*****f*nnnn",
    "attend": "*******fn*nnnnnn",
    "score": "***nn?",
    "unpack": "****nnnn",
}
"""What each kernel takes: addresses, whole numbers, a float, yes or no."""


class Native(Operations):
    """The passes as compiled kernels have them, for a processor and one precision.

    Raises:
        Uncompiled: there is no compiler, or it fails.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        bfloat16 = dtype is torch.bfloat16
        loaded = library(bfloat16=bfloat16)
        self._products = _products() if bfloat16 and torch.get_num_threads() > 1 else None
        self._kernels = {name: getattr(loaded, name) for name in _ARGUMENTS}
        for name, kinds in _ARGUMENTS.items():
            self._kernels[name].argtypes = [_KINDS[kind] for kind in kinds]
            self._kernels[name].restype = None

    @override
    def mm(self, x: Tensor, y: Tensor, out: Tensor) -> None:
        if self._products is None:
            torch.mm(x, y, out=out)
        else:
            self._products.mm(x, y, out)

    @override
    def ready(self, weight: Tensor) -> Callable[[Tensor], Tensor] | None:
        return reordered(weight)

    @override
    def norm(
        self, x: Tensor, delta: Tensor | None, norm: Norm, extra: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, columns = x.shape
        total = x if delta is None else rows_of(x, rows, columns)
        y = rows_of(x, rows, columns + extra)
        scale = x.new_empty(rows, dtype=torch.float32)
        self._call(
            "norm_forward",
            *(*_at(x), *_maybe(delta), total, norm.weight, norm.eps, *_at(y), scale),
            *(rows, columns),
        )
        return total, y, scale

    @override
    def norm_backward(
        self, dy: Tensor, x: Tensor, norm: Norm, scale: Tensor, rest: Tensor | None
    ) -> Tensor:
        rows, columns = x.shape
        dx = torch.empty_like(x) if rest is None else rest
        self._call(
            "norm_backward",
            *(*_at(dy), *_at(x), norm.weight, scale, *_maybe(rest), *_at(dx)),
            *(rows, columns),
        )
        return dx

    @override
    def gated(self, both: Tensor, columns: int, extra: int, *, tanh: bool) -> Tensor:
        out = rows_of(both, both.shape[0], columns + extra)
        self._call("gated_forward", *_at(both), *_at(out), both.shape[0], columns, tanh)
        return out

    @override
    def gated_backward(self, both: Tensor, d: Tensor, *, tanh: bool) -> None:
        self._call("gated_backward", *_at(both), *_at(d), *d.shape, tanh)

    @override
    def split(
        self, joint: Tensor, heads: Heads, angles: Angles | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        tokens = joint.shape[0]
        query = joint.new_empty(heads.groups, tokens * heads.share, heads.width)
        key, value = (joint.new_empty(heads.groups, tokens, heads.width) for _ in range(2))
        self._call(
            "split_heads",
            *(*_at(joint), *_head_arguments(heads, angles), query, key, value),
            *(tokens, heads.groups, heads.share, heads.width),
        )
        return query, key, value

    @override
    def join(
        self,
        joint: Tensor,
        gradients: tuple[Tensor, Tensor, Tensor],
        heads: Heads,
        angles: Angles | None,
    ) -> None:
        self._call(
            "join_heads",
            *(*_at(joint), *_head_arguments(heads, angles), *gradients),
            *(joint.shape[0], heads.groups, heads.share, heads.width),
        )

    @override
    def softmax(self, scores: Tensor, block: Block, scale: float) -> Tensor:
        groups, rows, keys = scores.shape
        total = scores.new_empty(groups, rows, dtype=torch.float32)
        self._call(
            "softmax_forward",
            *(scores, block.beginning, block.first, block.last, scale, total),
            *(groups, block.queries, rows // block.queries, keys),
        )
        return total

    @override
    def softmax_backward(
        self, scores: Tensor, d: Tensor, block: Block, scale: float, total: Tensor
    ) -> None:
        groups, rows, keys = scores.shape
        self._call(
            "softmax_backward",
            *(scores, d, block.beginning, block.first, block.last, scale, total),
            *(groups, block.queries, rows // block.queries, keys),
        )

    @override
    def attend(
        self,
        split: tuple[Tensor, Tensor, Tensor],
        held: tuple[Tensor, Tensor],
        rows: Tensor,
        lengths: Tensor,
        *,
        scale: float,
        window: int | None,
        out: Tensor,
    ) -> None:
        count, (_, groups, capacity, width) = rows.shape[0], held[0].shape
        share = split[0].shape[1] // count
        self._call(
            "attend",
            *(*split, *held, rows, lengths, scale, window or 0, *_at(out)),
            *(count, groups, share, width, capacity),
        )

    @override
    def score(self, logits: Tensor, targets: Tensor, *, keep: bool) -> Scores:
        found = logits.new_empty(5, logits.shape[0], dtype=torch.float32)
        self._call("score", logits, targets, found, *logits.shape, keep)
        return Scores(*found.unbind())

    def unpack(
        self, packed: Tensor, codes: Tensor, scales: Tensor, block: int, out: Tensor
    ) -> None:
        """Unpack 4-bit codes into `out`; each `block` of numbers in a row has a scale."""
        self._call("unpack", packed, codes, scales, *_at(out), *out.shape, block)

    def _call(self, name: str, *arguments: Tensor | float | None) -> None:
        self._kernels[name](
            *(each.data_ptr() if isinstance(each, Tensor) else each for each in arguments)
        )


def _products() -> Products:
    """Give products that are cut by times taken on this machine, with as many threads."""
    name = machine(torch.__version__, torch.get_num_threads())
    return Products(folder() / f"products-{name}.json")


def _at(x: Tensor) -> tuple[Tensor, int]:
    """Give a matrix and the distance of its rows."""
    return x, x.stride(0)


def _maybe(x: Tensor | None) -> tuple[Tensor | None, int]:
    return (None, 0) if x is None else _at(x)


def _head_arguments(heads: Heads, angles: Angles | None) -> tuple[Tensor | float | None, ...]:
    turns = (None, None) if angles is None else (angles.cosine, angles.sine)
    query, key = heads.query_norm, heads.key_norm
    weights = (query.weight if query else None, key.weight if key else None)
    return (*turns, *weights, query.eps if query else 0.0)
