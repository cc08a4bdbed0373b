"""The method of a spec as arguments: how the base is loaded, and what PEFT puts on it."""

from __future__ import annotations

from typing import Any

from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full, QLoRA


def model(use: Ledger, spec: FineTune, machine: Machine) -> dict[str, Any]:
    """Say how the base is loaded: where from, in which precision, quantised or not."""
    dtype = use.take("training.dtype")
    full = isinstance(spec.method, Full)
    model = {
        "source": use.take("model"),
        # Full fine-tuning in pure bfloat16 loses small updates: master weights stay float32.
        "dtype": "float32" if full else dtype,
        "autocast": dtype == "bfloat16" and (full or machine.device == "cuda"),
        "quantization": None,
    }
    if isinstance(spec.method, QLoRA):
        model["quantization"] = _quantization(use, spec.method, dtype)
    return model


def _quantization(use: Ledger, method: QLoRA, dtype: str) -> dict[str, Any]:
    """Give the keyword arguments of transformers' BitsAndBytesConfig."""
    if use.take("method.quantization") == "int8":
        use.drop("method.double_quantization", "8-bit scales are not quantised again")
        return {"load_in_8bit": True}
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": use.take("method.double_quantization"),
        "bnb_4bit_compute_dtype": dtype,
    }


def peft(use: Ledger, spec: FineTune) -> dict[str, Any] | None:
    """Give the keyword arguments of PEFT's LoraConfig."""
    use.take("method.type")
    if isinstance(spec.method, Full):
        return None
    targets = use.take("method.target_modules")
    return {
        "r": use.take("method.rank"),
        "lora_alpha": use.take("method.alpha"),
        "lora_dropout": use.take("method.dropout"),
        "target_modules": targets if isinstance(targets, str) else list(targets),
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
