"""Bytes that training takes, by component and in closed form."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tunekit.planning.activations import Step, kept, loss, passing
from tunekit.planning.shape import Shape
from tunekit.planning.stack import Stack
from tunekit.planning.trained import layers, trained
from tunekit.spec.methods import BOFT, Full, QLoRA

MARGIN = 1.1
"""Room to leave: nine of ten published measurements lie within it."""

_TWICE = 4 + 8 / 64 + 32 / (64 * 256)
_BITS = {"int8": 8.0, "nf4": 4.5, "fp4": 4.5, "nf4 twice": _TWICE, "fp4 twice": _TWICE}
"""Bits per quantized weight with its scales; the last as counted in arXiv 2305.14314."""


@dataclass(frozen=True)
class Memory:
    """The bytes at the peak of a training step, by what takes them."""

    weights: float
    adapters: float
    gradients: float
    """As far as they do not take the room that activations have left by then."""
    optimizer: float
    activations: float
    logits: float
    context: float
    """Driver or interpreter, and what the allocator loses between blocks."""

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.parts.values())

    @property
    def parts(self) -> dict[str, float]:
        """The components by name."""
        return asdict(self)

    def __str__(self) -> str:
        found = {name: value for name, value in self.parts.items() if value >= 5e6}
        return ", ".join(f"{name} {value / 1e9:.2f}" for name, value in found.items()) + " GB"


def estimate(size: Shape, step: Step, stack: Stack) -> Memory:
    """Give the peak of a training step.

    The weights and Adam's states are always there. Activations grow to the loss; then gradients
    take their place, layer by layer, so the larger of the two counts.
    """
    learn = trained(size, step.method, rank=step.rank)
    full = isinstance(step.method, Full)
    backward = passing(size, step, stack)
    activations = kept(size, step, stack) + backward
    logits = max(0.0, loss(size, step, stack) - backward)
    moving = activations + logits
    gradients: float = learn * (stack.master if full else stack.adapter)
    if not step.accumulates:
        gradients = max(gradients - int(moving), min(learn, size.head) * stack.master * full)
    return Memory(
        weights=_weights(size, step, stack),
        adapters=_beside(size, step) + (0 if full else learn * stack.adapter),
        gradients=gradients,
        optimizer=learn * stack.moments,
        activations=activations,
        logits=logits,
        context=stack.context + stack.spread * moving + (not step.fast) * stack.holes * logits,
    )


def _beside(size: Shape, step: Step) -> float:
    """Give the bytes of what an adapter holds beside its weights.

    PEFT's BOFT has a permutation of each layer's inputs as a float32 matrix.
    """
    if not isinstance(step.method, BOFT):
        return 0
    factors = step.method.butterfly_factors
    return 4.0 * factors * size.layers * sum(a * a for _, (a, _) in layers(size, step.method))


def _weights(size: Shape, step: Step, stack: Stack) -> float:
    method, width = step.method, step.width
    if isinstance(method, Full):
        cast = stack.autocast and stack.master != width
        models = 2 if step.reference else 1
        return models * stack.master * size.parameters + width * size.multiplied * cast
    if not isinstance(method, QLoRA):
        # Our passes move the matrices; the file stays mapped for the embeddings.
        moved = step.fast and stack.maps and size.stored == step.dtype
        return width * (size.parameters + moved * size.linear)
    twice = " twice" if method.quantization == "nf4" and method.double_quantization else ""
    quantized = size.linear * _BITS[method.quantization + twice] / 8
    mapped = width * size.linear if stack.maps and size.stored == step.dtype else 0
    return (
        quantized
        + mapped
        + (4 if stack.wide_embeddings else width) * (size.parameters - size.linear)
    )
