"""Adapters that stand before the prompt; each is one tensor of virtual tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunekit.adapters.peft_types.base import Count, PeftTypeConfig, Share, Tensors


class _Soft(PeftTypeConfig):
    """What PEFT writes of the base's sizes is not read: it follows from the base."""

    told: ClassVar[tuple[str, ...]] = ("num_virtual_tokens",)
    shared: ClassVar[Tensors] = {"prompt_embeddings": ("tokens", "*")}
    merges: ClassVar[bool] = False

    num_virtual_tokens: Annotated[int, Field(ge=1, le=4096)]
    token_dim: Count | None = None
    num_transformer_submodules: Literal[1] | None = None
    num_attention_heads: Count | None = None
    num_layers: Count | None = None

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Give the number of virtual tokens."""
        return {"tokens": self.num_virtual_tokens}


class PrefixTuningConfig(_Soft):
    """Keys and values of every layer."""

    name: ClassVar[str] = "prefix tuning"
    config: ClassVar[str] = "PrefixTuningConfig"

    peft_type: Literal["PREFIX_TUNING"]
    encoder_hidden_size: Count | None = None
    prefix_projection: Literal[False] = False
    init_weights: Literal["zero"] | None = None


class PromptTuningConfig(_Soft):
    """Embeddings."""

    name: ClassVar[str] = "prompt tuning"
    config: ClassVar[str] = "PromptTuningConfig"

    peft_type: Literal["PROMPT_TUNING"]
    prompt_tuning_init: Literal["RANDOM", "SAMPLE_VOCAB"] = "RANDOM"

    def arguments(self, modules: list[str]) -> dict[str, object]:
        """Give the arguments of PromptTuningConfig; its numbers are replaced by the weights."""
        return {**super().arguments(modules), "prompt_tuning_init": "RANDOM"}


class PromptEncoderConfig(_Soft):
    """Embeddings that a network has made; the network is not saved."""

    name: ClassVar[str] = "P-tuning"
    config: ClassVar[str] = "PromptEncoderConfig"
    goes_on: ClassVar[bool] = False

    peft_type: Literal["P_TUNING"]
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = "MLP"
    encoder_hidden_size: Count | None = None
    encoder_num_layers: Count = 2
    encoder_dropout: Share = 0.0
