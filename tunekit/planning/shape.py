"""The sizes of a model that the closed forms of memory and time need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunekit.models import Model

GROUPS: tuple[tuple[str, ...], ...] = (
    ("q_proj", "k_proj", "v_proj"),
    ("o_proj",),
    ("gate_proj", "up_proj"),
    ("down_proj",),
)
"""The matrices of a layer; those in one group have the same input."""
NAMES = tuple(name for group in GROUPS for name in group)


@dataclass(frozen=True)
class Shape:
    """The sizes that the closed forms need; q and k are the widths of queries and of keys."""

    h: int
    layers: int
    q: int
    k: int
    i: int
    vocabulary: int
    parameters: int
    embeddings: int
    stored: str | None = None
    """Precision of the weights on disk."""

    @property
    def linear(self) -> int:
        """Weights in the attention and MLP matrices."""
        gated = self.layers * (2 * self.h * (self.q + self.k) + 3 * self.h * self.i)
        return min(gated, self.parameters - self.embeddings)

    @property
    def head(self) -> int:
        """Weights of the output layer."""
        return self.vocabulary * self.h

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied with: all but the look-up of its embedding."""
        return self.parameters - self.embeddings + self.head


def shape(model: Model) -> Shape | None:
    """Give the sizes of a model, None when one of them is unknown."""
    sizes = (model.hidden_size, model.layers, model.heads, model.kv_heads, model.head_dim)
    more = (model.intermediate_size, model.vocab_size, model.parameters)
    if any(size is None for size in (*sizes, *more)):
        return None
    h, layers, heads, kv_heads, head_dim = (size or 0 for size in sizes)
    i, vocabulary, parameters = (size or 0 for size in more)
    embeddings = vocabulary * h * (1 if model.tied_embeddings else 2)
    q, k = heads * head_dim, kv_heads * head_dim
    return Shape(h, layers, q, k, i, vocabulary, parameters, embeddings, model.dtype)


def adapted(targets: str | Sequence[str]) -> frozenset[str]:
    """Name the matrices with an adapter.

    Modules of other names than Llama's count as if every linear layer were meant.
    """
    named = frozenset(NAMES if isinstance(targets, str) else targets) & set(NAMES)
    return named or frozenset(NAMES)


def rank_parameters(size: Shape, targets: str | Sequence[str]) -> int:
    """Count the parameters of a low-rank adapter per unit of rank."""
    widths = {
        "q_proj": size.h + size.q,
        "k_proj": size.h + size.k,
        "v_proj": size.h + size.k,
        "o_proj": size.q + size.h,
        **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), size.h + size.i),
    }
    return size.layers * sum(widths[name] for name in adapted(targets))
