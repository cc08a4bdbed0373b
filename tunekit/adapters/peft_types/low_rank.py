"""AdaLoRA's adapters, whose layers have ranks of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tunekit.adapters.peft_types.base import Count, Group, LayersConfig, Rank, Scale, Share

Mask = Annotated[list[bool], Field(max_length=4096)]


class AdaLoraConfig(LayersConfig):
    """P diag(lambda) Q, of which `rank_pattern` says what is left in each layer."""

    name: ClassVar[str] = "AdaLoRA"
    config: ClassVar[str] = "AdaLoraConfig"
    told: ClassVar[tuple[str, ...]] = ("init_r", "target_r", "lora_alpha", "lora_dropout")
    groups: ClassVar[tuple[Group, ...]] = (
        ({"lora_A": ("left", "in"), "lora_B": ("out", "left"), "lora_E": ("left", 1)},),
    )
    idle: ClassVar[tuple[str, float] | None] = ("lora_E", 0.0)

    peft_type: Literal["ADALORA"]
    r: Rank = 8
    init_r: Rank
    target_r: Rank
    lora_alpha: Scale
    lora_dropout: Share = 0.0
    tinit: Count = 0
    tfinal: Count = 0
    deltaT: Count = 1
    beta1: Share = 0.85
    beta2: Share = 0.85
    orth_reg_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.5
    total_step: Annotated[int, Field(ge=1, le=1 << 40)] | None = None
    rank_pattern: dict[str, Mask] | None = None
    init_lora_weights: bool = True

    @property
    def rank(self) -> int | None:
        """The rank that is left on average."""
        return self.target_r

    @property
    def scaled(self) -> float | None:
        """Alpha."""
        return self.lora_alpha

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Count the ranks that are left in a layer."""
        mask = (self.rank_pattern or {}).get(f"{module}.lora_E")
        return {"left": self.init_r if mask is None else sum(mask)}

    def arguments(self, modules: list[str]) -> dict[str, Any]:
        """Give the arguments of AdaLoraConfig, with the least schedule that it takes."""
        schedule = {"total_step": 3, "tinit": 0, "tfinal": 1}
        kept = {"rank_pattern": self.rank_pattern} if self.rank_pattern else {}
        return {**super().arguments(modules), **schedule, **kept}
