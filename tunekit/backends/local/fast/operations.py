"""The passes between matrix products, in torch: what runs where no compiled kernels do.

A *wide* tensor has room for more columns than it holds: a projection keeps its adapters' part
there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from tunekit.backends.local.fast import formulas
from tunekit.backends.local.fast.blocks import Block, multiple

_Formula = Callable[..., Any]
_VARIANTS = 32
"""Of a compiled pass: with a sum or without, of whole rows or of parts, of one row or more.

Beyond the limit, which is 8 in torch, it would go on without being compiled, and say nothing.
"""


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

        self._norm, self._gate = ready(formulas.norm), ready(formulas.gate)
        self._norm_gradient = ready(formulas.norm_gradient)
        self._gate_gradient, self._score = ready(formulas.gate_gradient), ready(formulas.score)
        self._heads, self._heads_gradient = ready(formulas.heads), ready(formulas.heads_gradient)

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
        found = x.new_empty(x.shape[0], x.shape[1] + extra)
        total, scale = self._norm(x, delta, norm.weight, norm.eps, found[:, : x.shape[1]])
        return total, found, scale

    def norm_backward(
        self, dy: Tensor, x: Tensor, norm: Norm, scale: Tensor, rest: Tensor | None
    ) -> Tensor:
        """Give the gradient of x, added to the first columns of `rest` where there is one."""
        adds = rest is not None
        found = x.new_empty(x.shape) if rest is None else rest
        self._norm_gradient(dy, x, norm.weight, scale, found[:, : x.shape[1]], adds=adds)
        return found

    def gated(self, both: Tensor, columns: int, extra: int, *, tanh: bool) -> Tensor:
        """Give act(gate) x up of a tensor that holds gate, then up; with room for more columns."""
        found = both.new_empty(both.shape[0], columns + extra)
        gate, up = both[:, :columns], both[:, columns : 2 * columns]
        self._gate(gate, up, found[:, :columns], tanh=tanh)
        return found

    def gated_backward(self, both: Tensor, d: Tensor, *, tanh: bool) -> None:
        """Turn gate and up into their gradients and `d` into the forward's output, in place."""
        columns = d.shape[1]
        self._gate_gradient(d, both[:, :columns], both[:, columns : 2 * columns], tanh=tanh)

    def split(
        self, joint: Tensor, heads: Heads, angles: Angles | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries [groups, tokens x share, width], keys and values [groups, tokens, width]."""
        tokens = joint.shape[0]
        query, key, value = _parts(joint, heads)
        asked = joint.new_empty(heads.groups, tokens * heads.share, heads.width)
        known = joint.new_empty(heads.groups, tokens, heads.width)
        write, turn = self._heads, _turn(angles)
        write(query, _weighted(heads.query_norm), turn, _by_token(asked, tokens))
        write(key, _weighted(heads.key_norm), turn, _by_token(known, tokens))
        return asked, known, value[:, :, 0].transpose(0, 1).contiguous()

    def join(
        self,
        joint: Tensor,
        gradients: tuple[Tensor, Tensor, Tensor],
        heads: Heads,
        angles: Angles | None,
    ) -> None:
        """Write the gradient of `split` over the joint product."""
        d_query, d_key, d_value = gradients
        query, key, value = _parts(joint, heads)
        back, turn, tokens = self._heads_gradient, _turn(angles), joint.shape[0]
        back(_by_token(d_query, tokens), _weighted(heads.query_norm), turn, query)
        back(_by_token(d_key, tokens), _weighted(heads.key_norm), turn, key)
        value.copy_(_by_token(d_value, tokens))

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
        return Scores(*self._score(logits, targets, keep=keep))

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
    limits: Any = import_module("torch._dynamo.config")
    name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"
    setattr(limits, name, max(_VARIANTS, getattr(limits, name)))
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


def _parts(joint: Tensor, heads: Heads) -> tuple[Tensor, Tensor, Tensor]:
    """Give views [tokens, groups, share, width] of queries, keys and values."""
    at = (0, heads.queries, heads.queries + heads.keys, heads.queries + 2 * heads.keys)
    query, key, value = (
        joint[:, start:stop].view(joint.shape[0], heads.groups, -1, heads.width)
        for start, stop in itertools.pairwise(at)
    )
    return query, key, value


def _by_token(each: Tensor, tokens: int) -> Tensor:
    """See [groups, tokens x share, width] as [tokens, groups, share, width]."""
    return each.view(each.shape[0], tokens, -1, each.shape[2]).transpose(0, 1)


def _weighted(norm: Norm | None) -> formulas.Weighted:
    return None if norm is None else (norm.weight, norm.eps)


def _turn(angles: Angles | None) -> formulas.Turn:
    return None if angles is None else (angles.cosine, angles.sine)
