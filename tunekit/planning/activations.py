"""What a forward pass keeps for the backward pass, counted tensor by tensor.

The counts are those of Llama's layer in transformers, attention without a score matrix (Korthikanti
et al. 2022, arXiv 2205.05198, count a GPT layer the same way). Saved-tensor hooks of torch find the
same tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.planning import bottleneck, passes
from tunekit.planning.shape import GROUPS, Shape
from tunekit.planning.stack import Stack
from tunekit.planning.trained import layers
from tunekit.spec.methods import IA3, AdaLoRA, AnyMethod, Bottleneck, Full, LNTuning, QLoRA, VeRA

Method = AnyMethod
TILE_ROWS, TILE_COLUMNS = 4096, 32768
"""Tokens and words whose logits TRL's loss computes at once."""


@dataclass(frozen=True)
class Step:
    """A forward and a backward pass over a portion of a batch, as far as memory goes."""

    method: Method
    dtype: str
    """Of arithmetic, and of frozen weights."""
    tokens: int
    """All tokens of the portion, padding included; both sides of pairs."""
    rank: int = 16
    checkpointing: bool = False
    rows: int = 1
    """Sequences of the portion; one needs no mask between rows."""
    joined: bool = False
    """The rows stand in one sequence, without padding."""
    accumulates: bool = False
    """Gradients of earlier portions wait for the optimizer step."""
    reference: bool = False
    """The objective asks a reference model too: a second one, or the base without its adapter."""
    fast: bool = False
    """Our own passes compute it, not those of transformers and PEFT."""

    @property
    def width(self) -> int:
        """Bytes of a number in arithmetic."""
        return 2 if self.dtype == "bfloat16" else 4

    @property
    def pairs(self) -> int:
        """Pairs of tokens that an attention mask covers."""
        if self.rows == 1:
            return 0
        return self.tokens**2 if self.joined else self.tokens**2 // self.rows


def kept(size: Shape, step: Step, stack: Stack) -> float:
    """Give the bytes that all layers keep until the backward pass reaches them."""
    if step.fast:
        return passes.kept(
            size,
            step.tokens,
            width=step.width,
            rank=step.rank,
            checkpointing=step.checkpointing,
        )
    if not step.checkpointing:
        return size.layers * per_layer(size, step, stack)
    stream = size.h * (stack.master if isinstance(step.method, Full) else step.width)
    if _is_int8(step.method):
        # bitsandbytes keeps inputs where checkpointing does not find them (`ctx.A`).
        stream += step.width * (2 * size.h + size.q + size.i)
    return size.layers * stream * step.tokens


def passing(size: Shape, step: Step, stack: Stack) -> float:
    """Give the bytes of one layer's backward pass, and of computing it again where asked."""
    if step.fast:
        return _dequantized(size, step, stack) + passes.passing(
            size,
            step.tokens,
            width=step.width,
            rank=step.rank,
            checkpointing=step.checkpointing,
        )
    again = per_layer(size, step, stack) if step.checkpointing else 0
    return again + 2 * step.width * size.i * step.tokens + _dequantized(size, step, stack)


def loss(size: Shape, step: Step, stack: Stack) -> float:
    """Give the bytes that the loss takes at its peak, before any layer's backward pass."""
    if step.fast:
        return passes.loss(size, step.tokens, width=step.width, tile=stack.own_tile)
    if stack.whole_logits:
        # Logits, their float32 copy, its shifted copy, and their gradient.
        return (step.width + 12) * size.vocabulary * step.tokens
    tile = min(step.tokens, TILE_ROWS) * min(size.vocabulary, TILE_COLUMNS)
    return tile * (step.width + stack.tile) + 4 * size.h * step.tokens


def per_layer(size: Shape, step: Step, stack: Stack) -> float:
    """Give the bytes that one layer keeps."""
    full = isinstance(step.method, Full)
    # Both norms keep their input in float32, and where they are trained what they scale.
    scaled = isinstance(step.method, (Full, LNTuning))
    norms = 2 * (4 + (stack.master if scaled else 0)) * size.h
    attention = 4 * step.width * size.q
    mlp = 3 * step.width * size.i
    inputs = _of_trained(size, step, stack) if full else _of_adapters(size, step, stack)
    mask = step.width * step.pairs * stack.masks
    return (norms + attention + mlp + inputs) * step.tokens + mask + _matrices(size, step)


_MADE = {"loha": 1, "lokr": 2, "boft": 3}
"""Matrices of the size of a layer that PEFT makes in each forward pass, and keeps."""


def _matrices(size: Shape, step: Step) -> float:
    """Count what a method keeps of one layer whatever the number of tokens."""
    number = _MADE.get(step.method.type, 0)
    return 4.0 * number * sum(a * b for _, (a, b) in layers(size, step.method))


def _rank(step: Step) -> int:
    """Give the width inside of the adapters."""
    if isinstance(step.method, VeRA):
        return step.method.rank
    if isinstance(step.method, AdaLoRA):
        return step.method.initial_rank or 3 * step.rank // 2
    return step.rank if step.method.type in ("lora", "qlora", "peft") else 0


def _of_trained(size: Shape, step: Step, stack: Stack) -> float:
    """Count the inputs of trained matrices, per token; attention's output is counted there."""
    # Each matrix casts an input of its own.
    cast = stack.autocast and stack.master != step.width
    return step.width * (((3 + 2) if cast else 2) * size.h + size.i)


def _of_adapters(size: Shape, step: Step, stack: Stack) -> float:
    """Count the inputs of adapters, per token: shared, or a copy each where widths differ."""
    method = step.method
    found_layers = dict(layers(size, method))
    if isinstance(method, IA3):
        # What is scaled, each layer's output.
        return float(step.width * sum(outputs for _, outputs in found_layers.values()))
    if isinstance(method, Bottleneck):
        return bottleneck.kept(size, method, step.width if stack.autocast else stack.adapter)
    targets = found_layers.keys()
    widths = (size.h, size.q, size.h, size.i)
    dropout = float(getattr(method, "dropout", 0.0))
    copied = stack.adapter != step.width or dropout > 0
    width = step.width if stack.autocast else stack.adapter
    waits = _is_int8(method) or (stack.keeps_inputs and isinstance(method, QLoRA))
    found: float = _rank(step) * len(targets) * width
    for group, inner in zip(GROUPS, widths, strict=True):
        number = len(targets & set(group))
        if number and copied:
            found += number * inner * (width + (dropout > 0))
        # The output of attention is kept by attention already.
        if group is not GROUPS[1] and (waits or (number and not copied)):
            found += step.width * inner
    return found


def _is_int8(method: Method) -> bool:
    return isinstance(method, QLoRA) and method.quantization == "int8"


def _dequantized(size: Shape, step: Step, stack: Stack) -> float:
    """Give the bytes of the largest matrix as it is unpacked for a product."""
    if not isinstance(step.method, QLoRA):
        return 0
    if step.fast:
        # They come and go in several sizes: as much again lies in holes of the allocator.
        return min(passes.SHELF, step.width * size.linear) * (1 + stack.holes)
    return step.width * size.h * size.i
