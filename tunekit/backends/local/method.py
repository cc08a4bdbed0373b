"""The method of a spec as arguments: how the base is loaded, and what learns on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunekit.backends.local.peft_arguments import (
    bottleneck,
    low_rank,
    orthogonal,
    products,
    soft_prompts,
    vectors,
)
from tunekit.backends.local.peft_arguments.found import Found, given
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
    kind = use.take("method.quantization")
    if kind == "int8":
        use.drop("method.double_quantization", "8-bit scales are not quantised again")
        return {"load_in_8bit": True}
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": kind,
        "bnb_4bit_use_double_quant": use.take("method.double_quantization"),
        "bnb_4bit_compute_dtype": dtype,
    }


def learns(use: Ledger, spec: FineTune) -> dict[str, Any]:
    """Give what learns: the arguments of a config of PEFT, and what else the worker does."""
    kind = use.take("method.type")
    found = _FAMILIES[kind](use)
    if found.peft is None:
        return {"peft": None, "method": found.own}
    task = "SEQ_CLS" if spec.objective.type == "reward" else "CAUSAL_LM"
    return {"peft": {"task_type": task, **found.peft}, "method": found.own}


def _full(use: Ledger) -> Found:
    return Found(peft=None, own=given(last_layers=use.take("method.last_layers")))


def _any(use: Ledger) -> Found:
    return Found(peft=dict(use.take("method.config")))


_FAMILIES: dict[str, Callable[[Ledger], Found]] = {
    "full": _full,
    "lora": low_rank.lora,
    "qlora": low_rank.lora,
    "adalora": low_rank.adalora,
    "ia3": vectors.ia3,
    "vera": vectors.vera,
    "lntuning": vectors.lntuning,
    "bottleneck": bottleneck.bottleneck,
    "loha": products.loha,
    "lokr": products.lokr,
    "oft": orthogonal.oft,
    "boft": orthogonal.boft,
    "prefix": soft_prompts.prefix,
    "prompt": soft_prompts.prompt,
    "ptuning": soft_prompts.ptuning,
    "peft": _any,
}
"""By the method's tag."""
