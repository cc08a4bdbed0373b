"""The passes between matrix products as formulas of torch, each one kernel where it is compiled.

All compute in float32, and round once, where they write what they have found.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SLOPE = 0.044715
_ROOT = 2 * (2 / torch.pi) ** 0.5
"""GELU by tanh is x sigmoid(_ROOT (x + _SLOPE x^3)) (Hendrycks and Gimpel, arXiv 1606.08415)."""

Turn = tuple[Tensor, Tensor] | None
"""Cosines and sines, [tokens, width / 2]."""
Weighted = tuple[Tensor, float] | None
"""The weights and the epsilon of a norm over each head."""


def norm(
    x: Tensor, delta: Tensor | None, weight: Tensor, eps: float, out: Tensor
) -> tuple[Tensor, Tensor]:
    """Write the root-mean-square norm of the rows of x + delta; give that sum and their scales."""
    total = x if delta is None else x + delta
    normed, scale = _normed(total, weight, eps)
    out.copy_(normed)
    return total, scale


def norm_gradient(
    dy: Tensor, x: Tensor, weight: Tensor, scale: Tensor, into: Tensor, *, adds: bool
) -> None:
    """Write the gradient of what went into `norm`, or add it to what stands there."""
    found = _norm_gradient(dy, x, weight, scale)
    into.copy_(into.float() + found if adds else found)


def gate(x: Tensor, up: Tensor, out: Tensor, *, tanh: bool) -> None:
    """Write act(x) x up."""
    wide = x.float()
    out.copy_(wide * torch.sigmoid(_inside(wide, tanh=tanh)) * up.float())


def gate_gradient(d: Tensor, x: Tensor, up: Tensor, *, tanh: bool) -> None:
    """Turn x and up into their gradients, and d into what `gate` wrote."""
    wide, above, beside = x.float(), d.float(), up.float()
    s = torch.sigmoid(_inside(wide, tanh=tanh))
    inner = _ROOT * (1 + 3 * _SLOPE * wide.square()) if tanh else 1.0
    active = wide * s
    found = above * beside * (s + active * (1 - s) * inner), above * active, active * beside
    for place, value in zip((x, up, d), found, strict=True):
        place.copy_(value)


def heads(x: Tensor, norm: Weighted, turn: Turn, out: Tensor) -> None:
    """Write heads [tokens, groups, share, width], normed and turned."""
    if norm is not None:
        x, _ = _normed(x, *norm)
    out.copy_(_turned(x, turn))


def heads_gradient(d: Tensor, norm: Weighted, turn: Turn, x: Tensor) -> None:
    """Turn what went into `heads` into its gradient."""
    d = _turned(d, None if turn is None else (turn[0], -turn[1]))
    if norm is not None:
        _, scale = _normed(x, *norm)
        d = _norm_gradient(d, x, norm[0], scale)
    x.copy_(d)


def score(logits: Tensor, targets: Tensor, *, keep: bool) -> tuple[Tensor, ...]:
    """Give the fields of `Scores`; with `keep` turn logits into d log p(target) / d logits."""
    wide = logits.float()
    log_p = torch.log_softmax(wide, -1)
    p = log_p.exp()
    of_target = log_p.gather(-1, targets[:, None])
    found = (
        of_target.squeeze(-1),
        -(p * log_p).sum(-1),
        torch.logsumexp(2 * log_p, -1),
        wide.mean(-1),
        (wide.argmax(-1) == targets).float(),
    )
    if keep:
        word = torch.arange(logits.shape[-1], device=logits.device)
        logits.copy_((word == targets[:, None]).float() - p)
    return found


def _normed(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    wide = x.float()
    scale = torch.rsqrt(wide.square().mean(-1) + eps)
    return wide * scale[..., None] * weight, scale


def _norm_gradient(dy: Tensor, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    wide, weighted, r = x.float(), dy.float() * weight, scale[..., None]
    return r * weighted - (weighted * wide).mean(-1, keepdim=True) * r**3 * wide


def _turned(x: Tensor, turn: Turn) -> Tensor:
    """Turn one half of each head, then the other."""
    if turn is None:
        return x
    a, b = x.float().chunk(2, -1)
    c, s = (part[:, None, None] for part in turn)
    return torch.cat([a * c - b * s, b * c + a * s], -1)


def _inside(x: Tensor, *, tanh: bool) -> Tensor:
    return _ROOT * (x + _SLOPE * x**3) if tanh else x
