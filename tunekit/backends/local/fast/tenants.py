"""Linear layers of one frozen base with the adapters of several tenants, each on rows of its own.

The base multiplies all rows at once, W x. What a tenant's adapters add, sB A x, is computed for its
rows alone, so that the work does not grow with the number of tenants, and nothing of one tenant
enters the sums of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from tunekit.backends.local.fast.linear import (
    Base,
    Given,
    Gradients,
    Layer,
    Masks,
    Part,
    add_gradients,
    add_lower,
    lower_dropped,
    parts,
    room,
)
from tunekit.backends.local.fast.operations import Norm, Operations


@dataclass(frozen=True)
class Share:
    """The rows of a stream that belong to one tenant."""

    tenant: int
    rows: slice
    masks: Masks | None = None


class _Own:
    """The adapters of one tenant."""

    def __init__(self, layers: Sequence[Layer], base: Base, number: int) -> None:
        self.extra = room(layers)
        self.parts = tuple(parts(layers, number))
        self.drops = any(part.adapter.dropout for part in self.parts)
        self.a = base.a.new_zeros(self.extra, base.inputs)
        self.b = base.b.new_zeros(base.outputs, self.extra)

    def copies(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        for part in self.parts:
            yield self.a[part.ranks], part.adapter.a, 1.0
            yield self.b[part.outputs, part.ranks], part.adapter.b, part.adapter.scale


class TenantGroup:
    """A group of linear layers on one input; `masks` are the shares of the tenants in a pass."""

    def __init__(
        self,
        base: Base,
        tenants: Sequence[Sequence[Layer]],
        bias: Tensor | None,
        *,
        number: int,
        run: Operations,
    ) -> None:
        self.base, self.bias, self._run = base, bias, run
        self.inputs, self.outputs = base.inputs, base.outputs
        self._own = [_Own(layers, base, number) for layers in tenants]
        self.extra = max(own.extra for own in self._own)
        self.parts: tuple[Part, ...] = tuple(part for own in self._own for part in own.parts)
        self.drops = any(own.drops for own in self._own)

    def parts_of(self, tenant: int) -> tuple[Part, ...]:
        """Give the adapters of a tenant."""
        return self._own[tenant].parts

    def copies_of(self, tenant: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Give the places of a tenant's adapters, as `copies` does."""
        return self._own[tenant].copies()

    def copies(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Give each place of an adapter in a matrix, what belongs there, and its scale."""
        for own in self._own:
            yield from own.copies()

    def forward(
        self, x: Tensor, *, adapted: bool, room: int, masks: Sequence[Share] | None = None
    ) -> Tensor:
        """Multiply x, which is wide by `extra`; the product is wide by `room`."""
        k, n = self.inputs, self.outputs
        y = x.new_empty(x.shape[0], n + room)
        self._run.mm(x[:, :k], self.base.matrix().t(), y[:, :n])
        if self.bias is not None:
            y[:, :n] += self.bias
        for share in (masks or ()) if adapted else ():
            self._add(x[share.rows], y[share.rows, :n], share)
        return y

    def backward(
        self, dy: Tensor, *, onward: bool, masks: Sequence[Share] | None = None
    ) -> Tensor | None:
        """Write g beside dy, which is wide by `extra`; with `onward` give the gradient of x."""
        n = self.outputs
        for share in masks or ():
            own, rows = self._own[share.tenant], share.rows
            if own.parts:
                dy[rows, n : n + own.extra] = dy[rows, :n] @ own.b
        if not onward:
            return None
        dx = dy.new_empty(dy.shape[0], self.inputs)
        self._run.mm(dy[:, :n], self.base.matrix(), dx)
        for share in masks or ():
            own, rows = self._own[share.tenant], share.rows
            g = dy[rows, n : n + own.extra]
            if share.masks is not None and own.drops:
                add_lower(dx[rows], g, own.a, own.parts, share.masks)
            elif own.parts:
                dx[rows].addmm_(g, own.a)
        return dx

    def gradients(
        self,
        into: Gradients,
        x: Tensor,
        h: Tensor,
        dy: Tensor,
        *,
        norm: tuple[Norm, Tensor] | None = None,
        masks: Sequence[Share] | None = None,
    ) -> None:
        """Add the gradients of the adapters, after `backward` has written g."""
        n = self.outputs
        for share in masks or ():
            own, rows = self._own[share.tenant], share.rows
            if not own.parts:
                continue
            given = Given(
                x=x[rows, : self.inputs],
                h=h[rows, : own.extra],
                dy=dy[rows, :n],
                g=dy[rows, n : n + own.extra],
            )
            scaled = None if norm is None else (norm[0], norm[1][rows])
            add_gradients(into, own.parts, given, norm=scaled, masks=share.masks)

    def _add(self, x: Tensor, y: Tensor, share: Share) -> None:
        """Write h beside x, and add to y what a tenant's adapters make of its rows."""
        own = self._own[share.tenant]
        if not own.parts:
            return
        inner, low = x[:, : self.inputs], x[:, self.inputs : self.inputs + own.extra]
        if share.masks is not None and own.drops:
            lower_dropped(inner, low, own.a, own.parts, share.masks)
        else:
            low.copy_(inner @ own.a.t())
        y.addmm_(low, own.b.t())
