"""The linear modules of a model: what is frozen, packed or not, and PEFT's adapter on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from tunekit.backends.local.fast import quantized
from tunekit.backends.local.fast.linear import Adapter, Layer, Projection, room
from tunekit.backends.local.fast.operations import Operations
from tunekit.backends.local.fast.tenants import TenantGroup, widest
from tunekit.backends.local.fast.unsuited import Unsuited
from tunekit.backends.local.fast.weights import Dense, Packed, Shelf

ADAPTER = "default"
"""The name that PEFT gives to the adapter that is trained."""
REFERENCE = "ref"
"""The name by which TRL's trainers know a frozen adapter that the trained one is compared with."""
_ADAPTED = ("Linear", "Linear4bit", "Linear8bitLt")


@dataclass(frozen=True)
class Linear:
    """A linear module as it was found."""

    module: Any
    adapter: Adapter | None

    @property
    def layer(self) -> Layer:
        """What its group has to know."""
        return Layer(int(self.module.out_features), self.adapter)


def references(base: Any, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Give the frozen twin of each A and B that is trained."""
    twins: dict[int, Tensor] = {}
    for module in base.modules():
        if is_adapted(module) and REFERENCE in module.lora_A:
            for half in (module.lora_A, module.lora_B):
                twins[id(half[ADAPTER].weight)] = half[REFERENCE].weight
    return [twins[id(parameter)] for parameter in parameters]


def is_adapted(module: Any) -> bool:
    """Say whether a module is one that PEFT has put a LoRA on; its descendants are another kind."""
    kind: Any = type(cast("object", module))
    return bool(kind.__module__.startswith("peft.tuners.lora.") and kind.__name__ in _ADAPTED)


def read(module: Any) -> Linear:
    """Read a linear module with or without an adapter.

    Raises:
        Unsuited: it is another kind of layer, or of adapter.
    """
    if is_adapted(module):
        return Linear(_base(module.get_base_layer()), _adapter(module))
    return Linear(_base(module), None)


def group(
    linears: Sequence[Linear], run: Operations, shelf: Shelf, *, like: Tensor, number: int
) -> Projection:
    """Join modules that read one input."""
    layers = [linear.layer for linear in linears]
    base, bias = _joined(linears, run, shelf, like=like, extra=room(layers))
    return Projection(base, layers, bias, number=number, run=run)


def shared(
    tenants: Sequence[Sequence[Linear]],
    run: Operations,
    shelf: Shelf,
    *,
    slots: int,
    like: Tensor,
    number: int,
) -> TenantGroup:
    """Join modules that read one input; each tenant has adapters of its own on the same base."""
    layers = [[linear.layer for linear in linears] for linears in tenants]
    extra = slots * widest(layers)
    base, bias = _joined(tenants[0], run, shelf, like=like, extra=extra)
    return TenantGroup(base, layers, bias, number=number, run=run)


def _joined(
    linears: Sequence[Linear], run: Operations, shelf: Shelf, *, like: Tensor, extra: int
) -> tuple[Dense | Packed, Tensor | None]:
    """Give the weights and biases of modules in one."""
    modules = [linear.module for linear in linears]
    bias = _bias(modules, like)
    if all(type(module) is nn.Linear for module in modules):
        return Dense([module.weight for module in modules], extra), bias
    packed = Packed(
        [quantized.unpacker(module, run, like.dtype) for module in modules],
        [linear.layer.outputs for linear in linears],
        int(modules[0].in_features),
        extra,
        like=like,
        shelf=shelf,
    )
    return packed, bias


def _base(module: Any) -> Any:
    if type(module) is nn.Linear:
        return module
    if quantized.known(module):
        return module
    raise Unsuited(f"{type(module).__name__} is no linear layer that is known here")


def _adapter(module: Any) -> Adapter | None:
    """Give the adapter of a layer that PEFT has wrapped."""
    if list(module.active_adapters) != [ADAPTER] or module.merged:
        raise Unsuited("another adapter than the one that is trained is active, or it is merged")
    if ADAPTER not in module.lora_A:
        return None
    if module.lora_variant or module.fan_in_fan_out or module.lora_bias.get(ADAPTER):
        raise Unsuited("the adapter is a variant of LoRA that is more than W + s B A")
    dropout = module.lora_dropout[ADAPTER]
    return Adapter(
        a=module.lora_A[ADAPTER].weight,
        b=module.lora_B[ADAPTER].weight,
        scale=float(module.scaling[ADAPTER]),
        dropout=float(getattr(dropout, "p", 0.0)),
    )


def _bias(modules: Sequence[Any], like: Tensor) -> Tensor | None:
    """Give the biases of a group in one, zero where a layer has none."""
    if all(module.bias is None for module in modules):
        return None
    parts = [
        torch.zeros(module.out_features, dtype=like.dtype, device=like.device)
        if module.bias is None
        else module.bias.detach().to(like.dtype)
        for module in modules
    ]
    return torch.cat(parts)
