"""Linear layers with adapters that read one input, as one product with a backward pass of its own.

The base weights W [outputs, inputs] of the layers, their adapters' A and s x B stand in one matrix:

    [ W    sB ]        forward:   h = x A^T,   y = [x h] [W sB]^T
    [ A    0  ]        backward:  g = dy sB,   dx = [dy g] [W; A],   dA = g^T x,   d(sB) = dy^T h

so an adapter costs no pass of its own over x or y. B is block-diagonal where there are several
layers. A and sB are copies in the precision of the base; what is trained keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from tunekit.backends.local.fast.frozen import Frozen
from tunekit.backends.local.fast.operations import Norm, Operations, rows_of

_torch: Any = torch
ALIGNED = 16
"""The ranks of a group's adapters add up to a multiple of this, filled with zeros."""


@dataclass(frozen=True)
class Adapter:
    """A trained low-rank update, W + scale x B A."""

    a: Tensor
    b: Tensor
    scale: float
    dropout: float = 0.0


@dataclass(frozen=True)
class Layer:
    """One linear layer of a group."""

    outputs: int
    adapter: Adapter | None = None


class Base(Protocol):
    """The matrix above, for a group of frozen layers."""

    inputs: int
    outputs: int
    lasting: bool
    """Whether the matrix stays where it is."""
    a: Tensor
    """[extra, inputs], where A is written."""
    b: Tensor
    """[outputs, extra], where sB is written."""

    def matrix(self) -> Tensor:
        """Give [outputs + extra, inputs + extra]."""
        ...


@dataclass(frozen=True)
class Masks:
    """Dropout of one forward pass; the backward pass draws it again from the same seed."""

    seed: int

    @classmethod
    def random(cls) -> Masks:
        """Take a seed from torch's generator."""
        return cls(int(torch.randint(1 << 31, ()).item()))

    def draw(self, number: int, like: Tensor, rate: float) -> Tensor:
        """Give 0 or 1 / (1 - rate) for each number of `like`; `number` tells layers apart."""
        generator = torch.Generator(like.device).manual_seed(self.seed + number)
        kept = torch.empty_like(like, memory_format=torch.contiguous_format)
        return kept.bernoulli_(1 - rate, generator=generator).div_(1 - rate)


class Group(Protocol):
    """Linear layers with adapters that read one input."""

    inputs: int
    outputs: int
    extra: int
    """Columns that the adapters need beside an input or a gradient."""
    parts: tuple[Part, ...]
    drops: bool
    frozen: Frozen

    def columns(self, *, adapted: bool) -> int:
        """Count the columns of the frozen matrix that a product with one adapter's rows has."""
        ...

    def copies(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Give each place of an adapter in a matrix, what belongs there, and its scale."""
        ...

    def forward(self, x: Tensor, *, adapted: bool, room: int, masks: Any = None) -> Tensor:
        """Multiply x, which is wide by `extra`; the product is wide by `room`."""
        ...

    def backward(self, dy: Tensor, *, onward: bool, masks: Any = None) -> Tensor | None:
        """Write g beside dy, which is wide by `extra`; with `onward` give the gradient of x."""
        ...

    def gradients(
        self,
        into: Gradients,
        x: Tensor,
        h: Tensor,
        dy: Tensor,
        *,
        norm: tuple[Norm, Tensor] | None = None,
        masks: Any = None,
    ) -> None:
        """Add the gradients of the adapters, after `backward` has written g."""
        ...


@dataclass(frozen=True)
class Part:
    """Where an adapter stands in the matrix of its group."""

    adapter: Adapter
    ranks: slice
    outputs: slice
    number: int
    """Tells its dropout from that of others."""


@dataclass
class Gradients:
    """Gradients of adapters as the products gave them."""

    found: dict[int, tuple[Tensor, float]] = field(default_factory=dict[int, tuple[Tensor, float]])

    def add(self, parameter: Tensor, gradient: Tensor, scale: float = 1.0) -> None:
        """Keep scale x gradient for a parameter."""
        self.found[id(parameter)] = (gradient, scale)

    def spread(self, parameters: Sequence[Tensor]) -> list[Tensor | None]:
        """Give each parameter's gradient in its own precision; None where none came."""
        into = {id(p): torch.empty_like(p) for p in parameters if id(p) in self.found}
        if into:
            found = [self.found[n] for n in into]
            copy_all(list(into.values()), [gradient for gradient, _ in found])
            scaled = [pair for pair in zip(into.values(), found, strict=True) if pair[1][1] != 1]
            for gradient, (_, scale) in scaled:
                gradient.mul_(scale)
        return [into.get(id(p)) for p in parameters]


class Projection:
    """A group of linear layers on one input."""

    def __init__(
        self,
        base: Base,
        layers: Sequence[Layer],
        bias: Tensor | None,
        *,
        number: int,
        run: Operations,
    ) -> None:
        self.base, self._run = base, run
        self.frozen = Frozen(base, bias, run)
        self.inputs, self.outputs = base.inputs, base.outputs
        self.extra = int(base.a.shape[0])
        self.parts = tuple(parts(layers, number))
        self.drops = any(part.adapter.dropout for part in self.parts)

    def columns(self, *, adapted: bool) -> int:
        """Count the columns of the frozen matrix in a product."""
        return self.inputs + (self.extra if adapted else 0)

    def copies(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Give each place of an adapter in the matrix, what belongs there, and its scale."""
        for part in self.parts:
            yield self.base.a[part.ranks], part.adapter.a, 1.0
            yield self.base.b[part.outputs, part.ranks], part.adapter.b, part.adapter.scale

    def forward(self, x: Tensor, *, adapted: bool, room: int, masks: Masks | None = None) -> Tensor:
        """Multiply x, which is wide by `extra`; the product is wide by `room`.

        Without `adapted` the base alone counts.
        """
        k, n = self.inputs, self.outputs
        if adapted and self.extra:
            if masks is not None and self.drops:
                self._lower_dropped(x, masks)
            else:
                matrix = self.base.matrix()
                self._run.mm(x[:, :k], matrix[n:, :k].t(), x[:, k : k + self.extra])
        return self.frozen.times(x[:, : self.columns(adapted=adapted)], room)

    def backward(self, dy: Tensor, *, onward: bool, masks: Masks | None = None) -> Tensor | None:
        """Write g beside dy, which is wide by `extra`; with `onward` give the gradient of x."""
        k, n, extra, matrix = self.inputs, self.outputs, self.extra, self.base.matrix()
        if extra:
            self._run.mm(dy[:, :n], matrix[:n, k:], dy[:, n : n + extra])
        if not onward:
            return None
        if masks is None or not self.drops:
            dx = rows_of(dy, dy.shape[0], k)
            self._run.mm(dy[:, : n + extra], matrix[:, :k], dx)
            return dx
        dx = dy[:, :n] @ matrix[:n, :k]
        add_lower(dx, dy[:, n : n + extra], self.base.a, self.parts, masks)
        return dx

    def gradients(
        self,
        into: Gradients,
        x: Tensor,
        h: Tensor,
        dy: Tensor,
        *,
        norm: tuple[Norm, Tensor] | None = None,
        masks: Masks | None = None,
    ) -> None:
        """Add the gradients of the adapters, after `backward` has written g.

        With `norm`, x is what went into a norm before the group: the product with g takes the
        scale of each row and the norm's weights along, and the norm's output need not be kept.
        """
        if self.parts:
            g = dy[:, self.outputs : self.outputs + self.extra]
            given = Given(x[:, : self.inputs], h, dy[:, : self.outputs], g)
            add_gradients(into, self.parts, given, norm=norm, masks=masks)

    def _lower_dropped(self, x: Tensor, masks: Masks) -> None:
        """Write h beside x, each adapter's input with a dropout of its own."""
        inner, lower = x[:, : self.inputs], x[:, self.inputs : self.inputs + self.extra]
        lower_dropped(inner, lower, self.base.a, self.parts, masks)


@dataclass(frozen=True)
class Given:
    """What the gradients of a group's adapters are made of."""

    x: Tensor
    h: Tensor
    """x A^T."""
    dy: Tensor
    g: Tensor
    """dy sB."""


def add_gradients(
    into: Gradients,
    parts: Sequence[Part],
    given: Given,
    *,
    norm: tuple[Norm, Tensor] | None,
    masks: Masks | None,
) -> None:
    """Add the gradients of adapters; `norm` as in `Projection.gradients`."""
    x, g = given.x, given.g
    if norm is not None:
        g = g * norm[1][:, None].to(g.dtype)
    db = given.h.t() @ given.dy
    drops = masks is not None and any(part.adapter.dropout for part in parts)
    whole = None if drops else g.t() @ x
    for part in parts:
        if whole is None:
            assert masks is not None
            mask = masks.draw(part.number, x, part.adapter.dropout)
            da = g[:, part.ranks].t() @ mask.mul_(x)
        else:
            da = whole[part.ranks]
        into.add(part.adapter.a, da if norm is None else da * norm[0].weight)
        into.add(part.adapter.b, db[part.ranks, part.outputs].t(), part.adapter.scale)


def add_lower(dx: Tensor, g: Tensor, a: Tensor, parts: Sequence[Part], masks: Masks) -> None:
    """Add what adapters with a dropout give to the gradient of x."""
    for part in parts:
        lower = g[:, part.ranks] @ a[part.ranks]
        dx += lower.mul_(masks.draw(part.number, lower, part.adapter.dropout))


def lower_dropped(
    inner: Tensor, lower: Tensor, a: Tensor, parts: Sequence[Part], masks: Masks
) -> None:
    """Write x A^T, each adapter's input with a dropout of its own."""
    lower.zero_()
    for part in parts:
        mask = masks.draw(part.number, inner, part.adapter.dropout)
        lower[:, part.ranks] = mask.mul_(inner) @ a[part.ranks].t()


def copy_all(into: list[Tensor], sources: list[Tensor]) -> None:
    """Copy many tensors at once, each into the precision of its place."""
    _torch._foreach_copy_(into, sources)


def multiply_all(tensors: list[Tensor], scales: list[float]) -> list[Tensor]:
    """Multiply many tensors at once, each by a number of its own."""
    found: list[Tensor] = _torch._foreach_mul(tensors, scales)
    return found


def room(layers: Sequence[Layer]) -> int:
    """Count the columns that a group's adapters take in its matrix."""
    ranks = sum(int(layer.adapter.a.shape[0]) for layer in layers if layer.adapter)
    return -(-ranks // ALIGNED) * ALIGNED


def parts(layers: Sequence[Layer], number: int) -> Iterator[Part]:
    """Give the place of each adapter in the matrix of its group."""
    rank = output = 0
    for place, layer in enumerate(layers):
        if layer.adapter is not None:
            more = int(layer.adapter.a.shape[0])
            yield Part(
                layer.adapter,
                slice(rank, rank + more),
                slice(output, output + layer.outputs),
                number + place,
            )
            rank += more
        output += layer.outputs
