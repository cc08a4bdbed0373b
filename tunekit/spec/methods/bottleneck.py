"""Bottleneck adapters: small networks behind the sub-layers of each block."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunekit.spec.methods.fields import Dropout
from tunekit.spec.strict import Auto, Strict


class Bottleneck(Strict):
    """Train a small network behind the sub-layers of each block.

    Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247. It cannot be
    merged into the base.
    """

    type: Literal["bottleneck"] = "bottleneck"
    """Networks behind the sub-layers learn; the base is frozen."""
    placement: Literal["pfeiffer", "houlsby"] = "pfeiffer"
    """Where: "pfeiffer" behind the MLP, which was best for a network of this kind in LLMs
    (arXiv 2304.01933); "houlsby" behind attention and MLP, at twice the weights."""
    size: Annotated[int, Field(ge=1, le=16_384)] | Auto = "auto"
    """Width of the network inside. "auto": the width of the model over 16, AdapterHub's
    `reduction_factor`."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Between the two layers. Usual: relu (AdapterHub's Pfeiffer), gelu or silu with Houlsby."""
    dropout: Dropout = 0.0
    """Share of the network's inputs set to zero while training. Usual: 0."""
