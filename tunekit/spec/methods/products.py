"""Updates that are products of other kinds: Hadamard's and Kronecker's (LyCORIS)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunekit.spec.methods.fields import Dropout, Rank, Scale, Targets
from tunekit.spec.strict import Strict


class _Product(Strict):
    rank: Rank = 8
    """Rank of the factors, 8 in PEFT."""
    alpha: Scale = 8.0
    """Scale of the update: alpha / rank, 8 in PEFT."""
    rank_dropout: Dropout = 0.0
    """Share of the update's rows set to zero while training. Usual: 0."""
    module_dropout: Dropout = 0.0
    """Share of the layers that go without their adapter in a step. Usual: 0."""
    target_modules: Targets = "all-linear"
    """Names of the layers with an adapter, or "all-linear"."""


class LoHa(_Product):
    """Train Hadamard products of two low-rank updates (FedPara, arXiv 2108.06098)."""

    type: Literal["loha"] = "loha"
    """An adapter of elementwise products learns; the base is frozen."""


class LoKr(_Product):
    """Train Kronecker products of two small matrices (KronA, arXiv 2212.10650; LyCORIS)."""

    type: Literal["lokr"] = "lokr"
    """An adapter of Kronecker products learns; the base is frozen."""
    decompose_both: bool = False
    """Write the smaller matrix as a low-rank product too. Usual: no."""
    decompose_factor: Annotated[int, Field(ge=2)] | Literal[-1] = -1
    """Largest size of the smaller matrix; -1: near the square root of the layer's size."""
