"""The methods of PEFT whose adapters are read, by PEFT's names of them."""

from __future__ import annotations

from tunekit.adapters.peft_types.base import PeftTypeConfig
from tunekit.adapters.peft_types.low_rank import AdaLoraConfig
from tunekit.adapters.peft_types.others import (
    C3AConfig,
    DeloraConfig,
    FourierFTConfig,
    GraloraConfig,
    HiraConfig,
    HRAConfig,
    MissConfig,
    RandLoraConfig,
    RoadConfig,
    VBLoRAConfig,
    WaveFTConfig,
)
from tunekit.adapters.peft_types.products import LoHaConfig, LoKrConfig
from tunekit.adapters.peft_types.rotations import BOFTConfig, OFTConfig
from tunekit.adapters.peft_types.soft_prompts import (
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
)
from tunekit.adapters.peft_types.vectors import IA3Config, LNTuningConfig, VeraConfig

TYPES: dict[str, type[PeftTypeConfig]] = {
    "ADALORA": AdaLoraConfig,
    "BOFT": BOFTConfig,
    "C3A": C3AConfig,
    "DELORA": DeloraConfig,
    "FOURIERFT": FourierFTConfig,
    "GRALORA": GraloraConfig,
    "HIRA": HiraConfig,
    "HRA": HRAConfig,
    "IA3": IA3Config,
    "LN_TUNING": LNTuningConfig,
    "LOHA": LoHaConfig,
    "LOKR": LoKrConfig,
    "MISS": MissConfig,
    "OFT": OFTConfig,
    "PREFIX_TUNING": PrefixTuningConfig,
    "PROMPT_TUNING": PromptTuningConfig,
    "P_TUNING": PromptEncoderConfig,
    "RANDLORA": RandLoraConfig,
    "ROAD": RoadConfig,
    "VBLORA": VBLoRAConfig,
    "VERA": VeraConfig,
    "WAVEFT": WaveFTConfig,
}
"""All but LoRA, which has a schema and checks of its own."""
