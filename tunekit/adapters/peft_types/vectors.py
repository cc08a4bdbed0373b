"""Adapters of a few vectors per layer: IA3, VeRA, and norms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunekit.adapters.peft_types.base import (
    Group,
    LayersConfig,
    Names,
    Rank,
    Scale,
    Share,
    Tensors,
)


class IA3Config(LayersConfig):
    """One factor per output, or per input of the layers in `feedforward_modules`."""

    name: ClassVar[str] = "(IA)^3"
    config: ClassVar[str] = "IA3Config"
    told: ClassVar[tuple[str, ...]] = ("feedforward_modules", "fan_in_fan_out")
    groups: ClassVar[tuple[Group, ...]] = (({"ia3_l": ("out", 1)}, {"ia3_l": (1, "in")}),)
    idle: ClassVar[tuple[str, float] | None] = ("ia3_l", 1.0)

    peft_type: Literal["IA3"]
    feedforward_modules: Names = Field(default_factory=list[str])
    init_ia3_weights: bool = True


class VeraConfig(LayersConfig):
    """Two vectors per layer; the random matrices that all share lie beside them."""

    name: ClassVar[str] = "VeRA"
    config: ClassVar[str] = "VeraConfig"
    told: ClassVar[tuple[str, ...]] = (
        *("r", "vera_dropout", "d_initial", "projection_prng_key", "save_projection"),
        "fan_in_fan_out",
    )
    groups: ClassVar[tuple[Group, ...]] = (({"vera_lambda_b": ("out",), "vera_lambda_d": ("r",)},),)
    shared: ClassVar[Tensors] = {"base_model.vera_A": ("r", "*"), "base_model.vera_B": ("*", "r")}
    idle: ClassVar[tuple[str, float] | None] = ("vera_lambda_b", 0.0)

    peft_type: Literal["VERA"]
    r: Rank
    projection_prng_key: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    save_projection: Literal[True] = True
    vera_dropout: Share = 0.0
    d_initial: Scale = 0.1

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the rank of the shared matrices."""
        return {"r": self.r}


class LNTuningConfig(LayersConfig):
    """The weights of norms, whole."""

    name: ClassVar[str] = "LN tuning"
    config: ClassVar[str] = "LNTuningConfig"
    groups: ClassVar[tuple[Group, ...]] = (
        (
            {"ln_tuning_layers.weight": ("h",)},
            {"ln_tuning_layers.weight": ("h",), "ln_tuning_layers.bias": ("h",)},
        ),
    )

    peft_type: Literal["LN_TUNING"]
