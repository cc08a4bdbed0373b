"""Weights that bitsandbytes holds in 4 or 8 bits, unpacked for a product."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor

from tunekit.backends.local.fast.native import Native
from tunekit.backends.local.fast.operations import Operations

Unpack = Callable[[Tensor], None]
"""Writes the weights of a module into [outputs, inputs]."""


def known(module: Any) -> bool:
    """Say whether a module is one of bitsandbytes' whose weights can be unpacked."""
    kind: Any = type(cast("object", module))
    return bool(kind.__module__.startswith("bitsandbytes") and kind.__name__ in _UNPACKERS)


def unpacker(module: Any, run: Operations, dtype: torch.dtype) -> Unpack:
    """Give what unpacks the weights of a module."""
    return _UNPACKERS[type(module).__name__](module, run, dtype)


def _four_bits(module: Any, run: Operations, dtype: torch.dtype) -> Unpack:
    """Unpack codes of 4 bits; the scales of the scales are resolved once and for all.

    On a CPU bitsandbytes 0.50 takes scales of other blocks where a block does not end with a row.
    What it makes of such weights is what the model computes elsewhere, so it is left to it.
    """
    functional: Any = import_module("bitsandbytes.functional")
    weight, state = module.weight, module.weight.quant_state
    if not isinstance(run, Native) or module.in_features % state.blocksize:

        def plainly(out: Tensor) -> None:
            out.copy_(functional.dequantize_4bit(weight.data, state).view(out.shape))

        return plainly
    scales = state.absmax
    if state.nested:
        scales = functional.dequantize_blockwise(scales, state.state2) + state.offset
    scales, codes = scales.float().contiguous(), state.code.float().contiguous()

    def natively(out: Tensor) -> None:
        run.unpack(weight.data, codes, scales, state.blocksize, out)

    return natively


def _eight_bits(module: Any, run: Operations, dtype: torch.dtype) -> Unpack:
    """Unpack whole numbers of 8 bits, whose rows have a scale each (Dettmers 2022, 2208.07339).

    bitsandbytes would round the layer's input to 8 bits as well, which is for speed on a GPU.
    """

    def plainly(out: Tensor) -> None:
        weight, state = module.weight, module.state
        numbers = weight.data if state.CB is None else state.CB
        scales = weight.SCB if state.SCB is None else state.SCB
        out.copy_(numbers * (scales / 127.0)[:, None])

    return plainly


_UNPACKERS: dict[str, Callable[[Any, Operations, torch.dtype], Unpack]] = {
    "Linear4bit": _four_bits,
    "Linear8bitLt": _eight_bits,
}
