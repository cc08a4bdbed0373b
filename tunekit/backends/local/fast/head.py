"""Log-probabilities of the labels, with their gradient computed on the way forward."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from tunekit.backends.local.fast.operations import Operations, Scores, rows_of
from tunekit.planning.passes import TILE


class _LogProbs(Function):  # type: ignore[misc]
    """log p(target) of each position.

    The logits are turned into d log p / d logits where they stand, so they are computed once and
    never kept. The gradient that comes back is one number per position, a factor.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, run: Operations
    ) -> tuple[Tensor, ...]:
        keep = ctx.needs_input_grad[0]
        gradient = rows_of(hidden, *hidden.shape) if keep else None
        most = TILE["cuda" if hidden.device.type == "cuda" else "cpu"]
        tile = max(32, most // (head.shape[0] * hidden.element_size()))
        found: list[Scores] = []
        for start in range(0, hidden.shape[0], tile):
            part = slice(start, start + tile)
            scored = logits(hidden[part], head, run)
            found.append(run.score(scored, targets[part], keep=keep))
            if gradient is not None:
                # Tile after tile: a product may write over the beginning of the next.
                run.mm(scored, head, gradient[part])
        ctx.gradient = gradient
        names = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
        fields = tuple(torch.cat([getattr(part, name) for part in found]) for name in names)
        ctx.mark_non_differentiable(*fields[1:])
        ctx.set_materialize_grads(False)
        return fields

    @staticmethod
    def backward(ctx: Any, *factors: Any) -> tuple[Tensor | None, ...]:
        factor, gradient, ctx.gradient = factors[0], ctx.gradient, None
        if factor is None or gradient is None:
            return None, None, None, None
        return gradient.mul_(factor[:, None]), None, None, None


def logits(hidden: Tensor, head: Tensor, run: Operations) -> Tensor:
    """Give the logits of hidden states, [positions, words]."""
    found = rows_of(hidden, hidden.shape[0], head.shape[0])
    run.mm(hidden, head.t(), found)
    return found


def log_probs(hidden: Tensor, head: Tensor, targets: Tensor, run: Operations) -> Scores:
    """Score the targets of the positions: hidden [positions, width], head [words, width]."""
    found: Any = cast("Any", _LogProbs).apply(hidden, head, targets, run)
    return Scores(*found)
