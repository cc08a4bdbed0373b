"""Adapters of every type that PEFT has and tunekit reads, as if they had been trained."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tests.adapters.made import saved

KINDS: dict[str, dict[str, Any]] = {
    "ADALORA": {"init_r": 4, "target_r": 2, "lora_alpha": 8, "total_step": 10},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 8},
    "DELORA": {"r": 4},
    "FOURIERFT": {"n_frequency": 20, "scaling": 10.0},
    "GRALORA": {"r": 4, "gralora_k": 2},
    "HIRA": {"r": 4},
    "HRA": {"r": 4},
    "IA3": {"feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": ["input_layernorm", "norm"]},
    "LOHA": {"r": 4, "alpha": 8},
    "LOKR": {"r": 2, "alpha": 4, "decompose_both": True},
    "MISS": {"r": 4},
    "OFT": {"oft_block_size": 8},
    "PREFIX_TUNING": {"num_virtual_tokens": 3},
    "PROMPT_TUNING": {"num_virtual_tokens": 3},
    "P_TUNING": {"num_virtual_tokens": 3, "encoder_hidden_size": 16},
    "RANDLORA": {"r": 4},
    "ROAD": {"group_size": 4},
    "VBLORA": {"r": 2, "num_vectors": 16, "vector_length": 8, "topk": 2},
    "VERA": {"r": 8},
    "WAVEFT": {"n_frequency": 20},
}
"""By PEFT's name: settings for the tiny model, beside its layers."""
SOFT = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING")


def typed(base: Path, kind: str, *, noise: float = 0.05, **changes: Any) -> Any:
    """Put an adapter of a type on the base, with weights as if it had been trained."""
    import torch
    from peft import get_peft_config, get_peft_model
    from transformers import AutoModelForCausalLM

    settings = {"target_modules": ["q_proj", "down_proj"], **KINDS[kind], **changes}
    if kind in SOFT:
        del settings["target_modules"]
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        config = get_peft_config({"peft_type": kind, "task_type": "CAUSAL_LM", **settings})
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad and noise:
                weight += torch.randn(weight.shape, generator=drawn) * noise
    return model.eval()


def typed_folder(base: Path, kind: str, into: Path, **changes: Any) -> Path:
    """Save an adapter of a type as the worker does."""
    return saved(typed(base, kind, **changes), into)
