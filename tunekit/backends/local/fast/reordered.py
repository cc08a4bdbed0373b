"""Weights in the order in which oneDNN reads them.

A product in bfloat16 brings its weight into that order each time, which for a few dozen rows takes
a quarter of its time and more. The result is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_ROWS = 64
"""Rows of a product that the order is chosen for."""


def reordered(weight: Tensor) -> Callable[[Tensor], Tensor] | None:
    """Give the product of rows with a weight [outputs, inputs]; None where torch has no such."""
    ops: Any = torch.ops.mkldnn
    names = ("_reorder_linear_weight", "_linear_pointwise")
    if weight.dtype is not torch.bfloat16 or not all(hasattr(ops, name) for name in names):
        return None
    multiply = ops._linear_pointwise
    try:
        held = ops._reorder_linear_weight(weight.contiguous(), _ROWS)
    except RuntimeError:
        # This processor has no products in bfloat16.
        return None

    def product(x: Tensor) -> Tensor:
        found: Tensor = multiply(x, held, None, "none", [], "")
        return found

    return product
