"""Floating-point operations of training, by token."""

from __future__ import annotations

from tunekit.planning.activations import Method
from tunekit.planning.shape import Shape
from tunekit.planning.trained import trained as learning
from tunekit.spec.methods import Full


def per_token(
    size: Shape,
    method: Method,
    *,
    rank: int,
    length: float,
    checkpointing: bool = False,
    reference: bool = False,
) -> float:
    """Count the operations of training on a token in a row of `length` tokens.

    A weight costs 2 forward, 2 for the gradient of its input, and 2 for its own, which frozen ones
    lack (Kaplan et al. 2020, arXiv 2001.08361: 6N; with an adapter 4N + 6P). Attention costs
    6 x layers x width x length, half of what it would without the causal mask (Chowdhery et al.
    2022, arXiv 2204.02311). Checkpointing repeats the forward pass (Korthikanti et al. 2022, arXiv
    2205.05198); a reference model adds one.
    """
    seen = 2 * size.layers * size.q * length
    forward = 2 * size.multiplied + seen
    if isinstance(method, Full) and method.last_layers is None:
        trained = 3 * forward
    elif isinstance(method, Full):
        # Nothing goes back through the blocks before.
        learn, share = learning(size, method, rank=rank), (method.last_layers or 0) / size.layers
        trained = forward + 4 * learn + 2 * size.head + 2 * seen * share
    else:
        trained = 4 * size.multiplied + 6 * learning(size, method, rank=rank) + 3 * seen
    return trained + forward * (checkpointing + reference)
