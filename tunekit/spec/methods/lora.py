"""Low-rank adapters: LoRA, over a quantised base, and with ranks that are learnt."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from tunekit.spec.methods.fields import AutoRank, AutoScale, Dropout, Size, Targets
from tunekit.spec.strict import Strict

Init = Literal["default", "gaussian", "orthogonal", "eva", "pissa", "olora", "loftq"]


class _LowRank(Strict):
    rank: AutoRank = "auto"
    """Rank r of the update. "auto": about half a parameter per trained token, between 8 and 128."""
    alpha: AutoScale = "auto"
    """Scale of the update: alpha / rank. "auto": 32, the value that our learning rates assume."""
    dropout: Dropout = 0.0
    """Share of the adapter's inputs set to zero while training. Usual: 0; QLoRA's authors took
    0.1 for 7B and 0.05 for more."""
    target_modules: Targets = "all-linear"
    """Names of the layers with an adapter, or "all-linear": attention and MLP, not the head."""


class _LoRA(_LowRank):
    use_rslora: bool = False
    """Scale by alpha / sqrt(rank), so that high ranks keep learning (rsLoRA, arXiv 2312.03732).
    With one alpha and one learning rate it takes sqrt(rank) times larger steps."""
    use_dora: bool = False
    """Learn the length of each weight row apart from its direction (DoRA, arXiv 2402.09353)."""
    lr_ratio: Annotated[float, Field(ge=1)] | None = None
    """Learning rate of B over that of A (LoRA+, arXiv 2402.12354, which takes 16, with about half
    the learning rate of LoRA). None: one rate for both."""


class LoRA(_LoRA):
    """Train low-rank updates of the linear layers (Hu et al. 2021, arXiv 2106.09685)."""

    type: Literal["lora"] = "lora"
    """A low-rank adapter learns; the base is frozen."""
    init: Init = "default"
    """How A and B begin. "default": A by Kaiming, B zero; "gaussian" (Diffusers) and "orthogonal":
    other draws; "eva": A from the inputs' principal directions (arXiv 2410.07170). These leave the
    model as it is. "pissa" (arXiv 2404.02948) and "olora" (arXiv 2406.01775) rewrite the base;
    their adapter is saved as a LoRA of twice the rank. "loftq" (arXiv 2310.08659) makes up for
    the rounding of a quantised base, so it goes with QLoRA."""


class QLoRA(_LoRA):
    """LoRA over a base held in 4 or 8 bits (Dettmers et al. 2023, arXiv 2305.14314)."""

    type: Literal["qlora"] = "qlora"
    """A low-rank adapter learns; the base is frozen and quantized."""
    quantization: Literal["nf4", "fp4", "int8"] = "nf4"
    """How the frozen base is stored: 4-bit NormalFloat (the paper's), 4-bit floats, or 8-bit
    integers (LLM.int8, arXiv 2208.07339)."""
    double_quantization: Annotated[bool, Field(validate_default=False)] = True
    """Store the 4-bit scales in 8 bits too: 4.13 bits per weight instead of 4.5. Not for int8."""
    init: Literal["default", "gaussian", "eva", "loftq"] = "default"
    """How A and B begin; see LoRA's `init`. "loftq" (arXiv 2310.08659) begins with what rounding
    the base to nf4 has lost; the adapter is saved without it, as a LoRA of twice the rank."""

    @field_validator("double_quantization")
    @classmethod
    def _only_four_bits(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("quantization") == "int8":
            raise ValueError(
                "works with quantization: nf4 or fp4 only; int8 has no scales to store twice"
            )
        return value


class AdaLoRA(_LowRank):
    """Train low-rank updates and spread a budget of ranks over the layers while training.

    Zhang et al. 2023, arXiv 2303.10512: each update is P diag(lambda) Q, and the least important
    lambdas are cut.
    """

    type: Literal["adalora"] = "adalora"
    """A low-rank adapter learns, more of it where it matters; the base is frozen."""
    initial_rank: Annotated[int, Field(ge=1, le=768)] | None = None
    """Rank of every layer at the start. None: 1.5 times `rank`, the paper's ratio, which is the
    average that is left at the end."""
    prune_start: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps before the first rank is cut."""
    prune_end: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Share of the steps after which the ranks stay as they are."""
    prune_every: Size = 1
    """Steps between two cuts, `deltaT` in PEFT. Usual: 1 there, more in long runs."""
    orth_reg_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the term that keeps P and Q orthogonal, 0.5 in PEFT."""

    @field_validator("prune_end")
    @classmethod
    def _after_the_start(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("prune_start", 0):
            raise ValueError("must be more than prune_start: ranks are cut between the two")
        return value
