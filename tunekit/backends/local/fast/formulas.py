"""The passes between matrix products as formulas of torch, free of side effects.

Everything is computed in float32 and given in it; who calls rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SLOPE = 0.044715
_ROOT = 2 * (2 / torch.pi) ** 0.5
"""GELU by tanh is x sigmoid(_ROOT (x + _SLOPE x^3)) (Hendrycks and Gimpel, arXiv 1606.08415)."""


def norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Give the root-mean-square norm of rows, and their scales."""
    wide = x.float()
    scale = torch.rsqrt(wide.square().mean(-1) + eps)
    return wide * scale[..., None] * weight, scale


def norm_gradient(dy: Tensor, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Give the gradient of what went into `norm`."""
    wide, weighted, r = x.float(), dy.float() * weight, scale[..., None]
    return r * weighted - (weighted * wide).mean(-1, keepdim=True) * r**3 * wide


def gate(x: Tensor, up: Tensor, *, tanh: bool) -> Tensor:
    """Give act(x) x up."""
    wide = x.float()
    return wide * torch.sigmoid(_inside(wide, tanh=tanh)) * up.float()


def gate_gradient(d: Tensor, x: Tensor, up: Tensor, *, tanh: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Give the gradients of x and up, and what `gate` gave."""
    wide, d, up = x.float(), d.float(), up.float()
    s = torch.sigmoid(_inside(wide, tanh=tanh))
    inner = _ROOT * (1 + 3 * _SLOPE * wide.square()) if tanh else 1.0
    active = wide * s
    return d * up * (s + active * (1 - s) * inner), d * active, active * up


def turn(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn heads [tokens, heads, width] by angles [tokens, width / 2]: one half, then the other."""
    a, b = x.float().chunk(2, -1)
    c, s = cosine[:, None], sine[:, None]
    return torch.cat([a * c - b * s, b * c + a * s], -1)


def score(logits: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """Give the fields of `Scores`, and d log p(target) / d logits."""
    wide = logits.float()
    log_p = torch.log_softmax(wide, -1)
    p = log_p.exp()
    found = log_p.gather(-1, targets[:, None])
    one = torch.ones_like(found)
    return (
        found.squeeze(-1),
        -(p * log_p).sum(-1),
        torch.logsumexp(2 * log_p, -1),
        wide.mean(-1),
        (wide.argmax(-1) == targets).float(),
        (-p).scatter_add(-1, targets[:, None], one),
    )


def _inside(x: Tensor, *, tanh: bool) -> Tensor:
    return _ROOT * (x + _SLOPE * x**3) if tanh else x
