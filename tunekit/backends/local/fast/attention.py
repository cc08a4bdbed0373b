"""Causal attention over a stream, and its gradient.

Queries are [groups, tokens x share, width], keys and values [groups, tokens, width]: the heads of
one group stand below each other, so keys are not repeated, and a block is a few batched products.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tunekit.backends.local.fast.blocks import Block, Blocks
from tunekit.backends.local.fast.operations import Heads, Operations

Split = tuple[Tensor, Tensor, Tensor]


def forward(
    split: Split, blocks: Blocks, heads: Heads, scale: float, *, run: Operations, out: Tensor
) -> list[Tensor]:
    """Write the heads' outputs into the first columns of `out`; give each block's log sums."""
    query, key, value = split
    totals: list[Tensor] = []
    for block in blocks.all:
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
    blocks: Blocks,
    heads: Heads,
    scale: float,
    *,
    run: Operations,
    d_out: Tensor,
) -> Split:
    """Give the gradients of queries, keys and values; the scores are computed again."""
    query, key, value = split
    d_query = torch.empty_like(query)
    d_key, d_value = _sums(key, blocks), _sums(value, blocks)
    for block, total in zip(blocks.all, totals, strict=True):
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
        _scatter(d_key, torch.bmm(d_scores.transpose(1, 2), q), block, apart=blocks.apart)
        _scatter(d_value, torch.bmm(scores.transpose(1, 2), d_heads), block, apart=blocks.apart)
    return d_query, d_key.to(key.dtype), d_value.to(value.dtype)


def _by_group(heads_out: Tensor, heads: Heads) -> Tensor:
    """See [groups, tokens x share, width] as [groups, tokens, share x width]."""
    return heads_out.view(heads.groups, -1, heads.share * heads.width)


def _gather(each: Tensor, block: Block) -> Tensor:
    """Give the keys or values of a block."""
    parts = [each[:, start:stop] for start, stop in block.spans if start < stop]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _sums(each: Tensor, blocks: Blocks) -> Tensor:
    """Make room for gradients: added up in float32 where several blocks see a key."""
    if blocks.apart:
        return torch.empty_like(each)
    return torch.zeros_like(each, dtype=torch.float32)


def _scatter(into: Tensor, gradient: Tensor, block: Block, *, apart: bool) -> None:
    if apart:
        (start, stop) = block.spans[-1]
        into[:, start:stop] = gradient
        return
    at = 0
    for start, stop in block.spans:
        into[:, start:stop] += gradient[:, at : at + stop - start]
        at += stop - start
