"""Causal attention over a stream, and its gradient.

Queries are [groups, tokens x share, width], keys and values [groups, tokens, width]: the heads of
one group stand below each other, so keys are not repeated, and a block is a few batched products.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tunekit.backends.local.fast.blocks import Block
from tunekit.backends.local.fast.operations import Heads, Operations

Split = tuple[Tensor, Tensor, Tensor]


def forward(
    split: Split,
    blocks: Sequence[Block],
    heads: Heads,
    scale: float,
    *,
    run: Operations,
    out: Tensor,
) -> list[Tensor]:
    """Write the heads' outputs into the first columns of `out`; give each block's log sums."""
    query, key, value = split
    totals: list[Tensor] = []
    for block in blocks:
        q = query[:, block.start * heads.share : block.stop * heads.share]
        scores = torch.bmm(q, _gather(key, block).transpose(1, 2))
        totals.append(run.softmax(scores, block, scale))
        heads_out = torch.bmm(scores, _gather(value, block))
        by_token = out[block.start : block.stop, : heads.queries].view(
            -1, heads.groups, heads.share * heads.width
        )
        by_token.copy_(_by_group(heads_out, heads).transpose(0, 1))
    return totals


def backward(
    split: Split,
    totals: Sequence[Tensor],
    blocks: Sequence[Block],
    heads: Heads,
    scale: float,
    *,
    run: Operations,
    d_out: Tensor,
) -> Split:
    """Give the gradients of queries, keys and values; the scores are computed again."""
    query, key, value = split
    d_query = torch.empty_like(query)
    d_key, d_value = _Sums(key), _Sums(value)
    for block, total in zip(blocks, totals, strict=True):
        rows = slice(block.start * heads.share, block.stop * heads.share)
        q, k, v = query[:, rows], _gather(key, block), _gather(value, block)
        by_token = d_out[block.start : block.stop, : heads.queries].view(
            -1, heads.groups, heads.share * heads.width
        )
        d_heads = by_token.transpose(0, 1).reshape(heads.groups, -1, heads.width)
        scores = torch.bmm(q, k.transpose(1, 2))
        d_scores = torch.bmm(d_heads, v.transpose(1, 2))
        run.softmax_backward(scores, d_scores, block, scale, total)
        d_query[:, rows] = torch.bmm(d_scores, k)
        d_key.add(torch.bmm(d_scores.transpose(1, 2), q), block)
        d_value.add(torch.bmm(scores.transpose(1, 2), d_heads), block)
    return d_query, d_key.whole(), d_value.whole()


def _by_group(heads_out: Tensor, heads: Heads) -> Tensor:
    """See [groups, tokens x share, width] as [groups, tokens, share x width]."""
    return heads_out.view(heads.groups, -1, heads.share * heads.width)


def _gather(each: Tensor, block: Block) -> Tensor:
    """Give the keys or values of a block."""
    parts = [each[:, start:stop] for start, stop in block.spans if start < stop]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


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
