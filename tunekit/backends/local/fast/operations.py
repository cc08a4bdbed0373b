"""The passes between matrix products, in torch: what runs where no compiled kernels do.

A *wide* tensor has room for more columns than it holds: a projection keeps its adapters' part
there.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import gelu, silu

from tunekit.backends.local.fast.blocks import Block


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

    def norm(
        self, x: Tensor, delta: Tensor | None, norm: Norm, extra: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give x + delta, its norm with `extra` columns of room, and the scale of each row."""
        total = x if delta is None else x + delta
        wide = total.float()
        scale = torch.rsqrt(wide.square().mean(-1) + norm.eps)
        y = _room(total, total.shape[1], extra)
        y[:, : total.shape[1]] = wide * scale[:, None] * norm.weight
        return total, y, scale

    def norm_backward(
        self, dy: Tensor, x: Tensor, norm: Norm, scale: Tensor, rest: Tensor | None
    ) -> Tensor:
        """Give the gradient of x, added to the first columns of `rest` where there is one."""
        columns = x.shape[1]
        weighted, r = dy.float() * norm.weight, scale[:, None]
        back = (weighted * x.float()).mean(-1, keepdim=True) * r**3
        dx = r * weighted - back * x.float()
        if rest is None:
            return dx.to(x.dtype)
        rest[:, :columns] = rest[:, :columns].float() + dx
        return rest

    def gated(self, both: Tensor, columns: int, extra: int, *, tanh: bool) -> Tensor:
        """Give act(gate) x up of a tensor that holds gate, then up; with room for more columns."""
        gate, up = both[:, :columns].float(), both[:, columns : 2 * columns].float()
        out = _room(both, columns, extra)
        out[:, :columns] = _activate(gate, tanh=tanh) * up
        return out

    def gated_backward(self, both: Tensor, d: Tensor, *, tanh: bool) -> None:
        """Turn gate and up into their gradients and `d` into the forward's output, in place."""
        columns = d.shape[1]
        up = both[:, columns : 2 * columns].float()
        with torch.enable_grad():
            gate = both[:, :columns].float().requires_grad_()
            active = _activate(gate, tanh=tanh)
        (d_gate,) = torch.autograd.grad(active, gate, d * up)
        active = active.detach()
        d_up, out = d * active, active * up
        both[:, :columns], both[:, columns : 2 * columns] = d_gate, d_up
        d.copy_(out)

    def split(
        self, joint: Tensor, heads: Heads, angles: Angles | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries [groups, tokens x share, width], keys and values [groups, tokens, width]."""
        query, key, value = _parts(joint, heads)
        query = _turned(_normed(query, heads.query_norm), angles)
        key = _turned(_normed(key, heads.key_norm), angles)
        tokens = joint.shape[0]
        query = query.to(joint.dtype).view(tokens, heads.groups, heads.share, heads.width)
        return (
            query.transpose(0, 1).reshape(heads.groups, -1, heads.width),
            key.to(joint.dtype).transpose(0, 1).contiguous(),
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
        query, key, value = _parts(joint, heads)
        back = _normed_back(_turned_back(d_query, angles), query, heads.query_norm)
        query.copy_(back)
        key.copy_(_normed_back(_turned_back(d_key.transpose(0, 1), angles), key, heads.key_norm))
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

    def score(self, logits: Tensor, targets: Tensor, *, keep: bool) -> Scores:
        """Score the targets; with `keep`, logits become d log p(target) / d logits in place."""
        wide = logits.float()
        log_p = torch.log_softmax(wide, -1)
        p = log_p.exp()
        found = Scores(
            log_probs=log_p.gather(-1, targets[:, None]).squeeze(-1),
            entropy=-(p * log_p).sum(-1),
            log_sum_sq_probs=torch.logsumexp(2 * log_p, -1),
            mean_logits=wide.mean(-1),
            is_top1=(wide.argmax(-1) == targets).float(),
        )
        if keep:
            one = torch.ones_like(targets, dtype=torch.float32)
            logits.copy_(p.neg_().scatter_add_(-1, targets[:, None], one[:, None]))
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


def _room(like: Tensor, columns: int, extra: int) -> Tensor:
    return like.new_empty(like.shape[0], columns + extra)


def _activate(gate: Tensor, *, tanh: bool) -> Tensor:
    return gelu(gate, approximate="tanh") if tanh else silu(gate)


def _parts(joint: Tensor, heads: Heads) -> tuple[Tensor, Tensor, Tensor]:
    """Give views [tokens, heads, width] of queries, keys and values."""
    at = (0, heads.queries, heads.queries + heads.keys, heads.queries + 2 * heads.keys)
    query, key, value = (
        joint[:, start:stop].view(joint.shape[0], -1, heads.width)
        for start, stop in itertools.pairwise(at)
    )
    return query, key, value


def _normed(x: Tensor, norm: Norm | None) -> Tensor:
    wide = x.float()
    if norm is None:
        return wide
    return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + norm.eps) * norm.weight


def _normed_back(d: Tensor, x: Tensor, norm: Norm | None) -> Tensor:
    if norm is None:
        return d
    wide, weighted = x.float(), d * norm.weight
    r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + norm.eps)
    return r * weighted - (weighted * wide).mean(-1, keepdim=True) * r**3 * wide


def _turned(x: Tensor, angles: Angles | None) -> Tensor:
    """Turn heads [tokens, heads, width] by the angles, halves against each other."""
    if angles is None:
        return x
    cosine, sine = angles.cosine[:, None], angles.sine[:, None]
    a, b = x.chunk(2, -1)
    return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1)


def _turned_back(d: Tensor, angles: Angles | None) -> Tensor:
    wide = d.float()
    return _turned(wide, None if angles is None else Angles(angles.cosine, -angles.sine))
