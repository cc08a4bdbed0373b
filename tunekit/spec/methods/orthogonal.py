"""Methods that rotate the weights of a layer: OFT and BOFT."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunekit.spec.methods.fields import Dropout, Targets
from tunekit.spec.strict import Strict


class OFT(Strict):
    """Train rotations of blocks of each layer's inputs (Qiu et al. 2023, arXiv 2306.07280).

    PEFT computes them as in OFTv2, on the activations (arXiv 2506.19847).
    """

    type: Literal["oft"] = "oft"
    """Rotations of the weights learn; the base is frozen."""
    block_size: Annotated[int, Field(ge=2)] = 32
    """Inputs that one rotation mixes, `oft_block_size` in PEFT, which takes 32; it divides the
    size of each layer's input."""
    module_dropout: Dropout = 0.0
    """Share of the rotations left out in a step. Usual: 0."""
    block_share: bool = False
    """Use one rotation for all blocks of a layer. Usual: no."""
    target_modules: Targets = "all-linear"
    """Names of the layers with an adapter, or "all-linear"."""


class BOFT(Strict):
    """Train rotations that are products of sparse ones (Liu et al. 2023, arXiv 2311.06243)."""

    type: Literal["boft"] = "boft"
    """Products of rotations of the weights learn; the base is frozen."""
    block_size: Annotated[int, Field(ge=2)] = 4
    """Inputs that one rotation mixes, `boft_block_size` in PEFT, which takes 4; it divides the
    size of each layer's input."""
    butterfly_factors: Annotated[int, Field(ge=1)] = 1
    """Sparse rotations in the product, `boft_n_butterfly_factor` in PEFT; 1 is plain OFT."""
    dropout: Dropout = 0.0
    """Share of the rotations left out in a step. Usual: 0."""
    target_modules: Targets = "all-linear"
    """Names of the layers with an adapter, or "all-linear"."""
