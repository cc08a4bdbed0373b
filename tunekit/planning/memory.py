"""Bytes that training takes, in closed form, and the size of a low-rank adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunekit.models import Model
from tunekit.spec.methods import Full, LoRA, QLoRA

CONTEXT = 800_000_000
"""Bytes that a device's driver and fragmentation take beside the tensors."""
MARGIN = 1.1
"""The closed form was within 10 % of 20 of 30 published measurements, below it more than above."""

_MLP = ("gate_proj", "up_proj", "down_proj")
_BITS = {"int8": 8.0, "nf4": 4.5, "nf4 twice": 4 + 8 / 64 + 32 / (64 * 256)}
"""Bits per quantized weight with its scales; the last as counted in arXiv 2305.14314."""


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

    @property
    def linear(self) -> int:
        """Weights in the attention and MLP matrices."""
        return self.layers * (2 * self.h * (self.q + self.k) + 3 * self.h * self.i)


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
    return Shape(h, layers, q, k, i, vocabulary, parameters, embeddings)


def rank_parameters(size: Shape, targets: str | Sequence[str]) -> int:
    """Count the parameters of a low-rank adapter per unit of rank.

    Modules of other names than Llama's count as if every linear layer were meant.
    """
    widths = {
        "q_proj": size.h + size.q,
        "k_proj": size.h + size.k,
        "v_proj": size.h + size.k,
        "o_proj": size.q + size.h,
        **dict.fromkeys(_MLP, size.h + size.i),
    }
    known = [] if isinstance(targets, str) else [name for name in targets if name in widths]
    return size.layers * sum(widths[name] for name in known or widths)


def training_bytes(
    size: Shape,
    method: Full | LoRA | QLoRA,
    *,
    rank: int,
    dtype: str,
    tokens: int,
    checkpointing: bool,
    logits: bool = False,
) -> int:
    """Give the peak bytes of a training step over `tokens` tokens at once.

    Weights, gradients, Adam's two moments, and what the backward pass keeps: tensors counted per
    layer for attention without a score matrix (arXiv 2205.05198 counts the same way). With
    `logits` the loss holds those of all tokens, as DPO's does; SFT's goes in portions.
    """
    targets = "all-linear" if isinstance(method, Full) else method.target_modules
    wide = 1 if dtype == "bfloat16" else 2
    mlp = isinstance(method, Full) or targets == "all-linear" or bool(set(targets) & set(_MLP))
    per_token = 10 * size.h + 8 * size.q + (2 * size.h + 8 * size.i if mlp else 6 * size.i)
    head = 14 * size.vocabulary * tokens if logits else 0
    if checkpointing:
        kept = 2 * size.h * size.layers * tokens
        kept += max((per_token + 4 * size.i) * tokens, head)
    else:
        kept = size.layers * per_token * tokens + head
    return int(_states(size, method, rank=rank, dtype=dtype) + kept * wide)


def _states(size: Shape, method: Full | LoRA | QLoRA, *, rank: int, dtype: str) -> float:
    """Give the bytes of weights, gradients and optimizer, float32 where trained."""
    if isinstance(method, Full):
        return 16 * size.parameters
    adapter = 16 * rank * rank_parameters(size, method.target_modules)
    width = 2 if dtype == "bfloat16" else 4
    if isinstance(method, LoRA):
        return width * size.parameters + adapter
    twice = " twice" if method.quantization == "nf4" and method.double_quantization else ""
    quantized = size.linear * _BITS[method.quantization + twice] / 8
    # Norms and embeddings are kept wide when a model is made ready for training in few bits.
    rest = 4 * (size.parameters - size.linear)
    return quantized + rest + 2 * size.h * size.i + adapter
