"""Causal attention by the kernels that torch has, for devices where a block each is too little.

They know no beginnings that rows share. Their backward pass is autograd's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tunekit.backends.local.fast.attention import Reach, Split
from tunekit.backends.local.fast.stream import Stream

WIDEST = 256
"""Columns of a head that flash attention takes."""


@dataclass
class _Graph:
    """Inputs and output of an attention whose gradient is still to come."""

    inputs: Split
    output: Tensor


class Fused:
    """Attention by flash attention over rows of any length, or row by row."""

    shares = False

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        fits = device.type == "cuda" and dtype is torch.bfloat16
        self._whole: Any = _varlen() if fits else None

    def forward(self, split: Split, stream: Stream, reach: Reach, out: Tensor) -> _Graph:
        """Keep the graph of autograd."""
        heads = reach.heads
        query, key, value = (part.detach().requires_grad_() for part in split)
        with torch.enable_grad():
            # [tokens, heads, width]
            q = query.view(heads.groups, stream.length, heads.share, heads.width)
            q = q.transpose(0, 1).reshape(stream.length, -1, heads.width)
            k, v = key.transpose(0, 1), value.transpose(0, 1)
            whole = self._whole is not None and heads.width <= WIDEST
            output = (self._at_once if whole else _by_row)(q, k, v, stream, reach)
        out[:, : heads.queries] = output.detach().reshape(stream.length, -1)
        return _Graph((query, key, value), output)

    def backward(
        self, split: Split, kept: _Graph, stream: Stream, reach: Reach, d_out: Tensor
    ) -> Split:
        """Ask autograd."""
        gradient = d_out[:, : reach.heads.queries].reshape(kept.output.shape)
        query, key, value = torch.autograd.grad(kept.output, kept.inputs, gradient)
        return query, key, value

    def _at_once(self, q: Tensor, k: Tensor, v: Tensor, stream: Stream, reach: Reach) -> Tensor:
        """Compute all rows in one call."""
        longest = max(segment.stop - segment.start for segment in stream.segments)
        left = -1 if reach.window is None else reach.window - 1
        found: Tensor = self._whole(
            *(q, k.contiguous(), v.contiguous(), stream.ends, stream.ends, longest, longest),
            scale=reach.scale,
            window_size=(left, 0),
            enable_gqa=reach.heads.share > 1,
        )
        return found


def _by_row(q: Tensor, k: Tensor, v: Tensor, stream: Stream, reach: Reach) -> Tensor:
    """Compute row after row; only a window that is shorter than a row needs a mask."""
    found: list[Tensor] = []
    for segment in stream.segments:
        part = slice(segment.start, segment.stop)
        length = segment.stop - segment.start
        mask = None
        if reach.window is not None and reach.window < length:
            near = torch.ones(length, length, dtype=torch.bool, device=q.device)
            mask = near.tril().triu(1 - reach.window)
        query, key, value = (each[part].transpose(0, 1)[None] for each in (q, k, v))
        row = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None,
            scale=reach.scale,
            enable_gqa=reach.heads.share > 1,
        )
        found.append(row[0].transpose(0, 1))
    return torch.cat(found)


def _varlen() -> Any:
    """Give torch's attention over rows of any length, None where it is not there or too old."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters.keys()
    if not {"window_size", "scale"} <= known:
        return None
    attend: Any = varlen_attn
    return attend if "enable_gqa" in known else repeating(attend)


def repeating(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Repeat keys and values for the heads that share them, as torch 2.11 wants it."""

    def repeated(
        query: Tensor, key: Tensor, value: Tensor, *more: Any, enable_gqa: bool, **named: Any
    ) -> Tensor:
        if enable_gqa:
            share = query.shape[1] // key.shape[1]
            key, value = (each.repeat_interleave(share, 1) for each in (key, value))
        return attend(query, key, value, *more, **named)

    return repeated
