"""How the model is changed: which weights learn, and in what shape."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from tunekit.spec.strict import Auto, Strict, below


class Full(Strict):
    """Train every weight. The result is a model, not an adapter."""

    type: Literal["full"] = "full"
    """Every weight learns."""


class _LowRank(Strict):
    rank: Annotated[int, Field(ge=1, le=512)] | Auto = "auto"
    """Rank r of the update. "auto": about half a parameter per trained token, between 8 and 128."""
    alpha: Annotated[float, Field(gt=0)] | Auto = "auto"
    """Scale of the update: alpha / rank. "auto": 32, the value that our learning rates assume."""
    dropout: Annotated[
        Annotated[float, Field(ge=0, lt=1)],
        below(1, "is a share, below 1: write {share} for {value} %"),
    ] = 0.0
    """Share of the adapter's inputs set to zero while training."""
    target_modules: (
        Literal["all-linear"] | Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    ) = "all-linear"
    """Names of the layers with an adapter, or "all-linear": attention and MLP, not the head."""


class LoRA(_LowRank):
    """Train low-rank updates of the linear layers (Hu et al. 2021, arXiv 2106.09685)."""

    type: Literal["lora"] = "lora"
    """A low-rank adapter learns; the base is frozen."""


class QLoRA(_LowRank):
    """LoRA over a base held in 4 or 8 bits (Dettmers et al. 2023, arXiv 2305.14314)."""

    type: Literal["qlora"] = "qlora"
    """A low-rank adapter learns; the base is frozen and quantized."""
    quantization: Literal["nf4", "int8"] = "nf4"
    """How the frozen base is stored: 4-bit NormalFloat, or 8-bit integers."""
    double_quantization: Annotated[bool, Field(validate_default=False)] = True
    """Store the 4-bit scales in 8 bits too: 4.13 bits per weight instead of 4.5. Only for nf4."""

    @field_validator("double_quantization")
    @classmethod
    def _only_nf4(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("quantization") == "int8":
            raise ValueError("works with quantization: nf4 only; int8 has no scales to store twice")
        return value


def _shorthand(value: Any) -> Any:
    return {"type": value.lower()} if isinstance(value, str) else value


MethodName = Literal["full", "lora", "qlora"]

_Tagged = Annotated[Full | LoRA | QLoRA, Field(discriminator="type")]

Method = Annotated[
    _Tagged,
    BeforeValidator(_shorthand, json_schema_input_type=MethodName | _Tagged),
]
