"""Linear layers of one frozen base with the adapters of several tenants, each on rows of its own.

The joint matrix of `linear.py` has a slot for each tenant of a pass. Here are two, and the rows of
x and dy are those of the first, then those of the second:

    [ W    sB1  sB2 ]        forward:   y = [x1 h1 0 ; x2 0 h2] [W sB1 sB2]^T
    [ A1   0    0   ]        backward:  dx = [dy1 g1 0 ; dy2 0 g2] [W; A1; A2]
    [ A2   0    0   ]

so all rows are one product, rounded once: in bfloat16 an update that is small beside W x would be
lost if it were added to what is rounded already. Zero times what is not finite is not zero, so the
adapters of all tenants in a pass have to be finite; their rows need not be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from tunekit.backends.local.fast.frozen import Frozen
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
from tunekit.backends.local.fast.operations import Norm, Operations, rows_of


@dataclass(frozen=True)
class Share:
    """The rows of a stream that belong to one tenant, whose adapters stand in a slot."""

    tenant: int
    slot: int
    rows: slice
    masks: Masks | None = None


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
        self.base, self._run = base, run
        self.frozen = Frozen(base, bias, run)
        self.inputs, self.outputs = base.inputs, base.outputs
        self.extra = int(base.a.shape[0])
        self._width = widest(tenants)
        self._own = [tuple(parts(layers, number)) for layers in tenants]
        self.parts: tuple[Part, ...] = tuple(part for own in self._own for part in own)
        self.drops = any(self._drops(tenant) for tenant in range(len(tenants)))

    def columns(self, *, adapted: bool) -> int:
        """Count the columns of the frozen matrix in a product of one tenant's rows."""
        return self.inputs + (self._width if adapted else 0)

    def parts_of(self, tenant: int) -> tuple[Part, ...]:
        """Give the adapters of a tenant."""
        return self._own[tenant]

    def copies_of(self, tenant: int, slot: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Give the places of a tenant's adapters in a slot, as `copies` does."""
        a, b = self.slot(slot)
        for part in self._own[tenant]:
            yield a[part.ranks], part.adapter.a, 1.0
            yield b[part.outputs, part.ranks], part.adapter.b, part.adapter.scale

    def copies(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Give nothing: where adapters stand depends on who is in a pass."""
        return iter(())

    def slot(self, number: int) -> tuple[Tensor, Tensor]:
        """Give the places of A and of sB in a slot."""
        columns = self._columns(number)
        return self.base.a[columns], self.base.b[:, columns]

    def forward(
        self, x: Tensor, *, adapted: bool, room: int, masks: Sequence[Share] | None = None
    ) -> Tensor:
        """Multiply x, which is wide by `extra`; the product is wide by `room`."""
        k, shares = self.inputs, (masks or ()) if adapted else ()
        used = len(shares) * self._width
        if used:
            x[:, k : k + used] = 0
            for share in shares:
                self._lower(x[share.rows], share)
        return self.frozen.times(x[:, : k + used], room)

    def backward(
        self, dy: Tensor, *, onward: bool, masks: Sequence[Share] | None = None
    ) -> Tensor | None:
        """Write g beside dy, which is wide by `extra`; with `onward` give the gradient of x."""
        k, n, shares = self.inputs, self.outputs, masks or ()
        used = len(shares) * self._width
        g = dy[:, n : n + used]
        g.zero_()
        for share in shares:
            if self._own[share.tenant]:
                _, b = self.slot(share.slot)
                self._of(g, share).copy_(dy[share.rows, :n] @ b)
        if not onward:
            return None
        dropped = [share for share in shares if share.masks and self._drops(share.tenant)]
        kept = [self._of(g, share).clone() for share in dropped]
        for share in dropped:
            self._of(g, share).zero_()
        dx = rows_of(dy, dy.shape[0], k)
        self._run.mm(dy[:, : n + used], self.base.matrix()[: n + used, :k], dx)
        for share, own in zip(dropped, kept, strict=True):
            assert share.masks is not None
            self._of(g, share).copy_(own)
            a, _ = self.slot(share.slot)
            add_lower(dx[share.rows], own, a, self._own[share.tenant], share.masks)
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
            if not own:
                continue
            given = Given(
                x=x[rows, : self.inputs],
                h=self._of(h, share),
                dy=dy[rows, :n],
                g=self._of(dy[:, n:], share),
            )
            scaled = None if norm is None else (norm[0], norm[1][rows])
            add_gradients(into, own, given, norm=scaled, masks=share.masks)

    def _lower(self, x: Tensor, share: Share) -> None:
        """Write h of a tenant beside its rows."""
        own, (a, _) = self._own[share.tenant], self.slot(share.slot)
        inner, low = x[:, : self.inputs], x[:, self.inputs :][:, self._columns(share.slot)]
        if share.masks is not None and self._drops(share.tenant):
            lower_dropped(inner, low, a, own, share.masks)
        elif own:
            low.copy_(inner @ a.t())

    def _drops(self, tenant: int) -> bool:
        return any(part.adapter.dropout for part in self._own[tenant])

    def _of(self, low: Tensor, share: Share) -> Tensor:
        """Give a tenant's part of what has a column for each rank."""
        return low[share.rows, self._columns(share.slot)]

    def _columns(self, slot: int) -> slice:
        return slice(slot * self._width, (slot + 1) * self._width)


def widest(tenants: Sequence[Sequence[Layer]]) -> int:
    """Count the columns of a slot."""
    return max(room(layers) for layers in tenants)
