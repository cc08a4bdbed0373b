"""One pass for the rows of several tenants over one base, and one backward pass for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunekit.backends.local.fast.attention import Attention
from tunekit.backends.local.fast.decoder import GROUPS, Pass
from tunekit.backends.local.fast.head import log_probs
from tunekit.backends.local.fast.linear import Masks
from tunekit.backends.local.fast.network import Copy, Network, State, in_place_of
from tunekit.backends.local.fast.operations import Operations, Scores
from tunekit.backends.local.fast.reading import read_all
from tunekit.backends.local.fast.stream import Stream, chain
from tunekit.backends.local.fast.tenants import Share, TenantGroup

_torch: Any = torch
SLOTS = 4
"""Tenants in one pass at most: each makes the products as much longer as its ranks."""
_LARGEST = 1e15
"""Norm of an adapter's tensor, beyond which it is as good as infinite."""


@dataclass(frozen=True)
class Asked:
    """The rows of one tenant for a pass."""

    tenant: int
    stream: Stream
    masks: Masks | None = None


class Mixed:
    """The network of several PEFT models over one base; a tenant is the number of its model."""

    def __init__(
        self,
        models: Sequence[object],
        run: Operations,
        *,
        recompute: bool,
        attention: Attention | None = None,
    ) -> None:
        """Read the models.

        Raises:
            Unsuited: something is not as it is in the families known here.
        """
        self.slots = min(SLOTS, len(models))
        self.network = read_all(
            models, run, slots=self.slots, recompute=recompute, attention=attention
        )
        groups = [layer.groups[name] for layer in self.network.layers for name in GROUPS]
        self._groups = [group for group in groups if isinstance(group, TenantGroup)]
        self._parts = [
            [part for group in self._groups for part in group.parts_of(tenant)]
            for tenant in range(len(models))
        ]
        self._copies: dict[tuple[int, int], list[Copy]] = {}
        self._seated: dict[int, int] = {}
        """By slot, whose adapters stand there."""
        self._last: Sequence[Asked] = ()
        """The pass whose adapters were copied last."""

    def parameters(self, tenant: int) -> list[Tensor]:
        """Give A and B of every adapter of a tenant."""
        return [w for part in self._parts[tenant] for w in (part.adapter.a, part.adapter.b)]

    def drops(self, tenant: int) -> bool:
        """Say whether the adapters of a tenant have a dropout."""
        return any(part.adapter.dropout for part in self._parts[tenant])

    def finite(self, tenant: int) -> bool:
        """Say whether the adapters of a tenant may stand beside those of others."""
        norms: list[Tensor] = _torch._foreach_norm(self.parameters(tenant))
        return bool(torch.stack(norms).max() < _LARGEST)

    def alone(self, asked: Asked) -> Scores:
        """Score the rows of one tenant, with a gradient of autograd's where one is wanted."""
        return self.network.scores(self._begin([asked]), self.parameters(asked.tenant))

    def reference(self, asked: Asked, instead: Sequence[Tensor] | None = None) -> Scores:
        """Score the rows of one tenant by the base, without a gradient.

        With `instead`, tensors like the tenant's parameters, by the base and these adapters.
        """
        if instead is None:
            return self.network.reference(asked.stream)
        this = self._begin([asked])
        self.network.refresh(in_place_of(self._copies[asked.tenant, 0], instead))
        return self.network.frozen(this)

    def reading(self, tenant: int, *, adapted: bool) -> tuple[Network, Callable[[Stream], Pass]]:
        """Give what reads streams by the adapters of a tenant as they are now, or by the base.

        It is good until the next pass.
        """
        if not adapted:
            return self.network.reading(adapted=False)
        self.seat([tenant])

        def begin(stream: Stream) -> Pass:
            share = Share(tenant, 0, slice(0, stream.length))
            return self.network.begin(stream, masks=[share])

        return self.network, begin

    def together(self, asked: Sequence[Asked]) -> Joint:
        """Score the rows of several tenants in one pass, and keep what the gradients need."""
        this = self._begin(asked)
        with torch.no_grad():
            hidden, state = self.network.trunk(this, keep=True)
        hidden.requires_grad_()
        with torch.enable_grad():
            head, run = self.network.head, self.network.run
            scores = log_probs(hidden, head, this.stream.targets, run)
        return Joint(self, asked, this, state, hidden, scores)

    def _begin(self, asked: Sequence[Asked]) -> Pass:
        shares: list[Share] = []
        start = 0
        for slot, one in enumerate(asked):
            rows = slice(start, start + one.stream.length)
            shares.append(Share(one.tenant, slot, rows, one.masks))
            start = rows.stop
        self.seat_for(asked)
        return self.network.begin(chain([one.stream for one in asked]), masks=shares)

    def seat(self, tenants: Sequence[int]) -> None:
        """Copy the adapters of tenants into the slots, the first into the first."""
        copies: list[Copy] = []
        for slot, tenant in enumerate(tenants):
            if self._seated.get(slot) != tenant:
                self._clear(slot)
            self._seated[slot] = tenant
            key = (tenant, slot)
            if key not in self._copies:
                self._copies[key] = [
                    copy for group in self._groups for copy in group.copies_of(*key)
                ]
            copies += self._copies[key]
        self.network.refresh(copies)
        self._last = ()

    def seat_for(self, asked: Sequence[Asked]) -> None:
        """Copy the adapters of a pass, unless they stand there since it began."""
        if self._last is not asked:
            self.seat([one.tenant for one in asked])
            self._last = asked

    def _clear(self, slot: int) -> None:
        """Leave nothing of the one before where the next has fewer ranks or layers."""
        with torch.no_grad():
            for group in self._groups:
                for place in group.slot(slot):
                    place.zero_()


@dataclass
class Joint:
    """A pass over the rows of several tenants; its backward pass uses it up."""

    mixed: Mixed
    asked: Sequence[Asked]
    _this: Pass
    _state: State
    _hidden: Tensor
    _scores: Scores

    def scores(self) -> list[Scores]:
        """Give each tenant its scores, whose log-probabilities are the beginning of a graph."""
        counts = [int(one.stream.targets.shape[0]) for one in self.asked]
        found = [dict[str, Any]() for _ in counts]
        for name, value in vars(self._scores).items():
            if value is not None:
                for fields, part in zip(found, value.detach().split(counts), strict=True):
                    fields[name] = part
        scores = [Scores(**fields) for fields in found]
        for each in scores:
            each.log_probs.requires_grad_()
        return scores

    def backward(self, factors: Sequence[Tensor | None]) -> None:
        """Add to the gradients of each tenant's adapters, from those of its log-probabilities.

        A tenant without a factor gets none.
        """
        counts = [one.stream.targets.shape[0] for one in self.asked]
        log_probs = self._scores.log_probs
        whole = [
            log_probs.new_zeros(count) if factor is None else factor
            for count, factor in zip(counts, factors, strict=True)
        ]
        (d_hidden,) = torch.autograd.grad(log_probs, self._hidden, torch.cat(whole))
        self.mixed.seat_for(self.asked)
        with torch.no_grad():
            found = self.mixed.network.trunk_backward(self._this, self._state, d_hidden)
        for one, factor in zip(self.asked, factors, strict=True):
            if factor is None:
                continue
            parameters = self.mixed.parameters(one.tenant)
            for parameter, gradient in zip(parameters, found.spread(parameters), strict=True):
                _accumulate(parameter, gradient)


def _accumulate(parameter: Tensor, gradient: Tensor | None) -> None:
    if gradient is None:
        return
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad += gradient
