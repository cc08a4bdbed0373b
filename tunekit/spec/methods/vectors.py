"""Methods that learn a few vectors per layer: IA3, VeRA, and the norms themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunekit.spec.methods.fields import Dropout, Names, Scale, Targets
from tunekit.spec.strict import Strict


class IA3(Strict):
    """Train one factor per output, or input, of a layer (Liu et al. 2022, arXiv 2205.05638)."""

    type: Literal["ia3"] = "ia3"
    """Factors of activations learn; the base is frozen."""
    target_modules: Targets = "all-linear"
    """Names of the layers that are scaled, or "all-linear". The paper scales keys, values and the
    inner activations of the MLP."""
    feedforward_modules: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Those of them whose input is scaled, not their output: `[down_proj]` as in the paper."""


class VeRA(Strict):
    """Train two vectors per layer around random matrices that all layers share.

    Kopiczko et al. 2023, arXiv 2310.11454. The random matrices are saved with the adapter.
    """

    type: Literal["vera"] = "vera"
    """Vectors around frozen random matrices learn; the base is frozen."""
    rank: Annotated[int, Field(ge=1, le=4096)] = 256
    """Rank of the shared matrices, 256 in PEFT: it costs a number per layer, so it can be high."""
    dropout: Dropout = 0.0
    """Share of the adapter's inputs set to zero while training. Usual: 0."""
    target_modules: Targets = "all-linear"
    """Names of the layers with an adapter, or "all-linear"."""
    d_initial: Scale = 0.1
    """Value of the first vector at the start, 0.1 in the paper."""
    projection_prng_key: Annotated[int, Field(ge=0)] = 0
    """Seed of the random matrices."""


class LNTuning(Strict):
    """Train the norms alone (Zhao et al. 2023, arXiv 2312.11420)."""

    type: Literal["lntuning"] = "lntuning"
    """The weights of the norms learn; all others are frozen."""
    target_modules: Literal["all-norms"] | Names = "all-norms"
    """Names of the norms that learn, or "all-norms": every LayerNorm and RMSNorm."""
