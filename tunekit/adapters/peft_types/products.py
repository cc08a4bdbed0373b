"""LoHa's and LoKr's adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunekit.adapters.peft_types.base import Group, LayersConfig, Rank, Scale, Share


class _Product(LayersConfig):
    told: ClassVar[tuple[str, ...]] = ("r", "alpha", "rank_dropout", "module_dropout")

    r: Rank
    alpha: Scale
    rank_dropout: Share = 0.0
    module_dropout: Share = 0.0
    use_effective_conv2d: Literal[False] = False

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the rank."""
        return {"r": self.r}


class LoHaConfig(_Product):
    """The product, number by number, of two low-rank matrices."""

    name: ClassVar[str] = "LoHa"
    config: ClassVar[str] = "LoHaConfig"
    groups: ClassVar[tuple[Group, ...]] = (
        (
            {
                "hada_w1_a": ("out", "r"),
                "hada_w1_b": ("r", "in"),
                "hada_w2_a": ("out", "r"),
                "hada_w2_b": ("r", "in"),
            },
        ),
    )
    idle: ClassVar[tuple[str, float] | None] = ("hada_w2_b", 0.0)

    peft_type: Literal["LOHA"]


class LoKrConfig(_Product):
    """The Kronecker product of two matrices, each whole or of low rank."""

    name: ClassVar[str] = "LoKr"
    config: ClassVar[str] = "LoKrConfig"
    told: ClassVar[tuple[str, ...]] = (*_Product.told, "decompose_both", "decompose_factor")
    groups: ClassVar[tuple[Group, ...]] = (
        ({"lokr_w1": ("a", "b")}, {"lokr_w1_a": ("a", "r"), "lokr_w1_b": ("r", "b")}),
        ({"lokr_w2": ("c", "d")}, {"lokr_w2_a": ("c", "r"), "lokr_w2_b": ("r", "d")}),
    )

    peft_type: Literal["LOKR"]
    decompose_both: bool = False
    decompose_factor: Annotated[int, Field(ge=-1, le=1 << 20)] = -1
    rank_dropout_scale: Literal[False] = False
