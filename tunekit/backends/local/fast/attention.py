"""Causal attention over a stream, and its gradient, as batched products of blocks.

Queries are [groups, tokens x share, width], keys and values [groups, tokens, width]: the heads of
one group stand below each other, so keys are not repeated, and a block is a few batched products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tunekit.backends.local.fast.blocks import Block
from tunekit.backends.local.fast.operations import Heads, Operations
from tunekit.backends.local.fast.stream import Stream

Split = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values, or their gradients."""


@dataclass(frozen=True)
class Reach:
    """What a layer's attention is like."""

    heads: Heads
    scale: float
    """Of scores."""
    window: int | None
    """Tokens that a token sees, itself included; None: all before it."""


class Attends(Protocol):
    """A way to compute attention."""

    def forward(self, split: Split, stream: Stream, reach: Reach, out: Tensor) -> Any:
        """Write the heads' outputs into the first columns of `out`; give what `backward` needs."""
        ...


class Attention(Attends, Protocol):
    """A way to compute attention and its gradient."""

    shares: bool
    """Whether a stream may hold what rows begin with alike only once."""

    def backward(
        self, split: Split, kept: Any, stream: Stream, reach: Reach, d_out: Tensor
    ) -> Split:
        """Give the gradients of queries, keys and values."""
        ...


class Blocked:
    """Attention as products of blocks; the backward pass computes the scores again."""

    shares = True

    def __init__(self, run: Operations) -> None:
        self._run = run

    def forward(self, split: Split, stream: Stream, reach: Reach, out: Tensor) -> list[Tensor]:
        """Keep the logarithm of each row's sum."""
        query, key, value = split
        heads, totals = reach.heads, list[Tensor]()
        for block in stream.blocks(reach.window):
            scores = torch.bmm(_queries(query, block, heads), _keys(key, block).transpose(1, 2))
            totals.append(self._run.softmax(scores, block, reach.scale))
            found = torch.bmm(scores, _keys(value, block))
            found = found.view(heads.groups, block.queries, heads.share * heads.width)
            _by_token(out, block, heads).copy_(found[:, : block.stop - block.start].transpose(0, 1))
        return totals

    def backward(
        self,
        split: Split,
        kept: Sequence[Tensor],
        stream: Stream,
        reach: Reach,
        d_out: Tensor,
    ) -> Split:
        """Go through the blocks again."""
        query, key, value = split
        heads, d_query = reach.heads, torch.empty_like(query)
        d_key, d_value = _Sums(key), _Sums(value)
        for block, total in zip(stream.blocks(reach.window), kept, strict=True):
            q, k, v = _queries(query, block, heads), _keys(key, block), _keys(value, block)
            d_heads = _by_head(d_out, block, heads)
            scores = torch.bmm(q, k.transpose(1, 2))
            d_scores = torch.bmm(d_heads, v.transpose(1, 2))
            self._run.softmax_backward(scores, d_scores, block, reach.scale, total)
            rows = slice(block.start * heads.share, block.stop * heads.share)
            d_query[:, rows] = torch.bmm(d_scores, k)[:, : rows.stop - rows.start]
            d_key.add(torch.bmm(d_scores.transpose(1, 2), q), block)
            d_value.add(torch.bmm(scores.transpose(1, 2), d_heads), block)
        return d_query, d_key.whole(), d_value.whole()


def _by_token(wide: Tensor, block: Block, heads: Heads) -> Tensor:
    """See a block's heads as [tokens, groups, share x width]."""
    rows = wide[block.start : block.stop, : heads.queries]
    return rows.view(-1, heads.groups, heads.share * heads.width)


def _by_head(wide: Tensor, block: Block, heads: Heads) -> Tensor:
    """Give a block's heads as queries stand, [groups, queries x share, width]."""
    shape = (heads.groups, block.queries, heads.share * heads.width)
    found, count = wide.new_empty(shape), block.stop - block.start
    found[:, :count] = _by_token(wide, block, heads).transpose(0, 1)
    found[:, count:] = 0
    return found.view(heads.groups, -1, heads.width)


def _queries(each: Tensor, block: Block, heads: Heads) -> Tensor:
    """Give the queries of a block."""
    rows = each[:, block.start * heads.share : block.stop * heads.share]
    return _filled([rows], block.queries * heads.share)


def _keys(each: Tensor, block: Block) -> Tensor:
    """Give the keys or values of a block."""
    return _filled([each[:, start:stop] for start, stop in block.spans], block.keys)


def _filled(parts: Sequence[Tensor], length: int) -> Tensor:
    """Put parts one behind the other and fill up with zeros; one that is long enough stays."""
    if parts[0].shape[1] == length:
        return parts[0]
    found, at = parts[0].new_empty(parts[0].shape[0], length, parts[0].shape[2]), 0
    for part in parts:
        found[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    found[:, at:] = 0
    return found


class _Sums:
    """Gradients of keys or values: in float32 where several blocks add to them."""

    def __init__(self, like: Tensor) -> None:
        self._whole = torch.empty_like(like)
        self._shared: dict[tuple[int, int], Tensor] = {}

    def add(self, gradient: Tensor, block: Block) -> None:
        """Add what a block has found for its keys."""
        at = 0
        for (start, stop), home in zip(block.spans, block.homes, strict=True):
            part = gradient[:, at : at + stop - start]
            at += stop - start
            if home is None:
                self._whole[:, start:stop] = part
                continue
            if home not in self._shared:
                shape = (part.shape[0], home[1] - home[0], part.shape[2])
                self._shared[home] = part.new_zeros(shape, dtype=torch.float32)
            self._shared[home][:, start - home[0] : stop - home[0]] += part

    def whole(self) -> Tensor:
        """Give the gradients of all keys."""
        for (start, stop), found in self._shared.items():
            self._whole[:, start:stop] = found
        return self._whole
