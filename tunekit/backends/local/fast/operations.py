"""The passes between matrix products, in torch: what runs where no compiled kernels do.

A *wide* tensor has room for more columns than it holds: a projection keeps its adapters' part
there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunekit.backends.local.fast import formulas
from tunekit.backends.local.fast.blocks import Block, multiple

_Formula = Callable[..., Any]


@dataclass(frozen=True)
class Norm:
    """A root-mean-square norm."""

    weight: Tensor
    """In float32."""
    eps: float


@dataclass(frozen=True)
class Heads:
    """How a joint product divides into queries, keys and values."""

    groups: int
    """Heads of keys and values."""
    share: int
    """Heads of queries to each of them."""
    width: int
    query_norm: Norm | None = None
    key_norm: Norm | None = None

    @property
    def queries(self) -> int:
        """Columns of all queries."""
        return self.groups * self.share * self.width

    @property
    def keys(self) -> int:
        """Columns of all keys, and as many of all values."""
        return self.groups * self.width


@dataclass(frozen=True)
class Angles:
    """Cosines and sines by which heads are turned, [tokens, width / 2] in float32."""

    cosine: Tensor
    sine: Tensor


@dataclass(frozen=True)
class Scores:
    """What the logits of some positions say of their targets, [positions] in float32.

    All but the first are for the log, and None where nobody asks for them.
    """

    log_probs: Tensor
    entropy: Tensor | None = None
    log_sum_sq_probs: Tensor | None = None
    """Logarithm of the sum of all words' squared probabilities."""
    mean_logits: Tensor | None = None
    is_top1: Tensor | None = None


class Operations:
    """The passes as torch has them, for any device."""

    def __init__(self, *, compiled: bool = False) -> None:
        """Use the formulas as they are, or compile them."""

        def ready(formula: _Formula) -> Any:
            return torch.compile(formula, dynamic=True) if compiled else formula

        self._norm, self._norm_gradient = ready(formulas.norm), ready(formulas.norm_gradient)
        self._gate, self._gate_gradient = ready(formulas.gate), ready(formulas.gate_gradient)
        self._turn, self._score = ready(formulas.turn), ready(formulas.score)

    def mm(self, x: Tensor, y: Tensor, out: Tensor) -> None:
        """Write the product of two matrices, the larger ones of a step.

        What stands in memory behind the rows of `out`, up to a multiple of `STEP`, may be lost.
        """
        torch.mm(x, y, out=out)

    def ready(self, weight: Tensor) -> Callable[[Tensor], Tensor] | None:
        """Give what multiplies few rows with a weight sooner, x to x w^T; None where nothing does.

        It may hold a copy of the weight.
        """
        return None

    def norm(
        self, x: Tensor, delta: Tensor | None, norm: Norm, extra: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give x + delta, its norm with `extra` columns of room, and the scale of each row."""
        total = x if delta is None else x + delta
        found, scale = self._norm(total, norm.weight, norm.eps)
        return total, _with_room(found, total, extra), scale

    def norm_backward(
        self, dy: Tensor, x: Tensor, norm: Norm, scale: Tensor, rest: Tensor | None
    ) -> Tensor:
        """Give the gradient of x, added to the first columns of `rest` where there is one."""
        dx: Tensor = self._norm_gradient(dy, x, norm.weight, scale)
        if rest is None:
            return dx.to(x.dtype)
        rest[:, : x.shape[1]] = rest[:, : x.shape[1]].float() + dx
        return rest

    def gated(self, both: Tensor, columns: int, extra: int, *, tanh: bool) -> Tensor:
        """Give act(gate) x up of a tensor that holds gate, then up; with room for more columns."""
        gate, up = both[:, :columns], both[:, columns : 2 * columns]
        return _with_room(self._gate(gate, up, tanh=tanh), both, extra)

    def gated_backward(self, both: Tensor, d: Tensor, *, tanh: bool) -> None:
        """Turn gate and up into their gradients and `d` into the forward's output, in place."""
        columns = d.shape[1]
        gate, up = both[:, :columns], both[:, columns : 2 * columns]
        d_gate, d_up, out = self._gate_gradient(d, gate, up, tanh=tanh)
        gate.copy_(d_gate)
        up.copy_(d_up)
        d.copy_(out)

    def split(
        self, joint: Tensor, heads: Heads, angles: Angles | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries [groups, tokens x share, width], keys and values [groups, tokens, width]."""
        tokens = joint.shape[0]
        query, key, value = _parts(joint, heads)
        query = self._turned(self._normed(query, heads.query_norm), angles).to(joint.dtype)
        key = self._turned(self._normed(key, heads.key_norm), angles).to(joint.dtype)
        query = query.view(tokens, heads.groups, heads.share, heads.width)
        return (
            query.transpose(0, 1).reshape(heads.groups, -1, heads.width),
            key.transpose(0, 1).contiguous(),
            value.transpose(0, 1).contiguous(),
        )

    def join(
        self,
        joint: Tensor,
        gradients: tuple[Tensor, Tensor, Tensor],
        heads: Heads,
        angles: Angles | None,
    ) -> None:
        """Write the gradient of `split` over the joint product."""
        tokens = joint.shape[0]
        d_query, d_key, d_value = gradients
        d_query = d_query.view(heads.groups, tokens, heads.share, heads.width).transpose(0, 1)
        d_query = d_query.reshape(tokens, -1, heads.width)
        back = None if angles is None else Angles(angles.cosine, -angles.sine)
        query, key, value = _parts(joint, heads)
        query.copy_(self._normed_back(self._turned(d_query, back), query, heads.query_norm))
        key.copy_(self._normed_back(self._turned(d_key.transpose(0, 1), back), key, heads.key_norm))
        value.copy_(d_value.transpose(0, 1))

    def softmax(self, scores: Tensor, block: Block, scale: float) -> Tensor:
        """Turn scores [groups, rows, keys] into probabilities in place; give the logs of sums."""
        wide = scores.float().mul_(scale).masked_fill_(self._hidden(scores, block), -torch.inf)
        total = torch.logsumexp(wide, -1)
        scores.copy_(torch.exp(wide - total[..., None]))
        return total

    def softmax_backward(
        self, scores: Tensor, d: Tensor, block: Block, scale: float, total: Tensor
    ) -> None:
        """Turn scores into probabilities again and `d` into the scores' gradient, in place."""
        wide = scores.float().mul_(scale).masked_fill_(self._hidden(scores, block), -torch.inf)
        p = torch.exp(wide - total[..., None])
        g = d.float()
        scores.copy_(p)
        d.copy_(p * (g - (p * g).sum(-1, keepdim=True)) * scale)

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
        """Hold the keys and values of tokens, then let each look at its row up to itself.

        Args:
            split: Queries, [groups, tokens x share, width]; keys, values, [groups, tokens, width].
            held: Keys and values, [all rows, groups, capacity, width].
            rows: Which rows of these the tokens belong to, int32.
            lengths: How many tokens of its row each sees, itself the last, int32.
            scale: Of scores.
            window: Keys that are seen, the last ones; None: all.
            out: Gets [rows, groups x share x width] in its first columns.
        """
        query, *new = split
        count, most = rows.shape[0], int(lengths.max())
        for each, own in zip(held, new, strict=True):
            each[rows.long(), :, lengths.long() - 1] = own.transpose(0, 1)
        key, value = (each[rows.long(), :, :most].float() for each in held)
        groups, width = query.shape[0], query.shape[2]
        asked = query.view(groups, count, -1, width).transpose(0, 1).float()
        place = torch.arange(most, device=query.device)
        hidden = place >= lengths[:, None]
        if window is not None:
            hidden |= place < lengths[:, None] - window
        scores = (asked @ key.transpose(2, 3) * scale).masked_fill_(
            hidden[:, None, None], -torch.inf
        )
        # What is not written yet may be anything, and zero times that need not be zero.
        value.masked_fill_(hidden[:, None, :, None], 0)
        found = (scores.softmax(-1) @ value).flatten(1)
        out[:, : found.shape[1]] = found

    def score(self, logits: Tensor, targets: Tensor, *, keep: bool) -> Scores:
        """Score the targets; with `keep`, logits become d log p(target) / d logits in place."""
        *found, gradient = self._score(logits, targets)
        if keep:
            logits.copy_(gradient)
        return Scores(*found)

    def _normed(self, x: Tensor, norm: Norm | None) -> Tensor:
        if norm is None:
            return x
        found: Tensor = self._norm(x, norm.weight, norm.eps)[0]
        return found

    def _normed_back(self, d: Tensor, x: Tensor, norm: Norm | None) -> Tensor:
        if norm is None:
            return d
        scale = self._norm(x, norm.weight, norm.eps)[1]
        found: Tensor = self._norm_gradient(d, x, norm.weight, scale)
        return found

    def _turned(self, x: Tensor, angles: Angles | None) -> Tensor:
        if angles is None:
            return x
        found: Tensor = self._turn(x, angles.cosine, angles.sine)
        return found

    @staticmethod
    def _hidden(scores: Tensor, block: Block) -> Tensor:
        """Say which keys each row does not see, [rows, keys]."""
        key = torch.arange(scores.shape[-1], device=scores.device)
        first, last, beginning = (
            part[:, None] for part in (block.first, block.last, block.beginning)
        )
        seen = (key < beginning) | ((key >= first) & (key < last))
        return ~seen.repeat_interleave(scores.shape[1] // len(seen), 0)


def rows_of(like: Tensor, rows: int, columns: int) -> Tensor:
    """Give a new matrix for so many tokens, with room up to a multiple of `STEP` (see `mm`)."""
    return like.new_empty(multiple(rows), columns)[:rows]


def compiled(device: torch.device, dtype: torch.dtype) -> Operations:
    """Give the passes compiled by torch, tried out; as they are where that fails."""
    run = Operations(compiled=True)
    norm = Norm(torch.ones(32, device=device), 1e-5)
    angles = Angles(*torch.ones(2, 24, 4, device=device).unbind())
    x = torch.ones(24, 32, device=device, dtype=dtype)
    try:
        total, y, scale = run.norm(x, None, norm, 0)
        run.norm_backward(y, total, norm, scale, None)
        for tanh in (False, True):
            run.gated_backward(x.clone(), run.gated(x, 16, 0, tanh=tanh), tanh=tanh)
        run.split(x, Heads(1, 2, 8), angles)
        run.score(x.clone(), torch.zeros(24, dtype=torch.long, device=device), keep=True)
    except Exception:
        # What torch.compile raises is a matter of its back ends.
        return Operations()
    return run


def _with_room(found: Tensor, like: Tensor, extra: int) -> Tensor:
    """Round, and leave columns free."""
    wide = like.new_empty(found.shape[0], found.shape[1] + extra)
    wide[:, : found.shape[1]] = found
    return wide


def _parts(joint: Tensor, heads: Heads) -> tuple[Tensor, Tensor, Tensor]:
    """Give views [tokens, heads, width] of queries, keys and values."""
    at = (0, heads.queries, heads.queries + heads.keys, heads.queries + 2 * heads.keys)
    query, key, value = (
        joint[:, start:stop].view(joint.shape[0], -1, heads.width)
        for start, stop in itertools.pairwise(at)
    )
    return query, key, value
