"""OFT's and BOFT's adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunekit.adapters.peft_types.base import Group, LayersConfig, Rank, Share


class OFTConfig(LayersConfig):
    """Rotations of blocks of the inputs, by their skew-symmetric halves."""

    name: ClassVar[str] = "OFT"
    config: ClassVar[str] = "OFTConfig"
    told: ClassVar[tuple[str, ...]] = (
        *("oft_block_size", "module_dropout", "block_share", "fan_in_fan_out"),
        *("use_cayley_neumann", "num_cayley_neumann_terms"),
    )
    groups: ClassVar[tuple[Group, ...]] = (({"oft_R.weight": ("blocks", "half")},),)
    idle: ClassVar[tuple[str, float] | None] = ("oft_R.weight", 0.0)

    peft_type: Literal["OFT"]
    r: Literal[0] = 0
    oft_block_size: Annotated[int, Field(ge=2, le=1 << 16)]
    module_dropout: Share = 0.0
    block_share: bool = False
    coft: Literal[False] = False
    eps: Annotated[float, Field(ge=0, le=1)] = 6e-5
    use_cayley_neumann: bool = True
    num_cayley_neumann_terms: Annotated[int, Field(ge=1, le=64)] = 5

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Count the numbers of a skew-symmetric block."""
        return {"half": self.oft_block_size * (self.oft_block_size - 1) // 2}

    def arguments(self, modules: list[str]) -> dict[str, object]:
        """Give the arguments of OFTConfig, which has a number of blocks of its own else."""
        return {**super().arguments(modules), "r": 0}


class BOFTConfig(LayersConfig):
    """Products of sparse rotations of the inputs, and a factor per output."""

    name: ClassVar[str] = "BOFT"
    config: ClassVar[str] = "BOFTConfig"
    told: ClassVar[tuple[str, ...]] = (
        *("boft_block_size", "boft_block_num", "boft_n_butterfly_factor", "boft_dropout"),
        "fan_in_fan_out",
    )
    groups: ClassVar[tuple[Group, ...]] = (
        ({"boft_R": ("factors", "blocks", "size", "size"), "boft_s": ("out", 1)},),
    )
    idle: ClassVar[tuple[str, float] | None] = ("boft_R", 0.0)

    peft_type: Literal["BOFT"]
    boft_block_size: Annotated[int, Field(ge=2, le=1 << 16)]
    boft_block_num: Literal[0] = 0
    boft_n_butterfly_factor: Rank = 1
    boft_dropout: Share = 0.0

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the size of a block and the number of factors."""
        return {"size": self.boft_block_size, "factors": self.boft_n_butterfly_factor}
