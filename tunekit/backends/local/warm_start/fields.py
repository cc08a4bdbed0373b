"""The fields of a method that its adapter settles, and the layers that targets name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tunekit.adapters import fit, layers
from tunekit.adapters.asked import Targets
from tunekit.backends.local.warm_start.opened import Start
from tunekit.spec.methods import (
    BOFT,
    IA3,
    OFT,
    AnyMethod,
    Bottleneck,
    LNTuning,
    LoHa,
    LoKr,
    LoRA,
    Peft,
    Prefix,
    Prompt,
    QLoRA,
    VeRA,
)

OF: dict[str, type[Any]] = {
    "LORA": LoRA,
    "IA3": IA3,
    "LOHA": LoHa,
    "LOKR": LoKr,
    "OFT": OFT,
    "BOFT": BOFT,
    "VERA": VeRA,
    "LN_TUNING": LNTuning,
    "PREFIX_TUNING": Prefix,
    "PROMPT_TUNING": Prompt,
    "TUNEKIT_BOTTLENECK": Bottleneck,
}
"""The method of a spec by PEFT's name of it; QLoRA leaves a LoRA."""

_SETTLED: dict[str, dict[str, str]] = {
    "LORA": {
        "rank": "r",
        "alpha": "lora_alpha",
        "use_rslora": "use_rslora",
        "use_dora": "use_dora",
    },
    "IA3": {"feedforward_modules": "feedforward_modules"},
    "LOHA": {"rank": "r", "alpha": "alpha"},
    "LOKR": {
        "rank": "r",
        "alpha": "alpha",
        "decompose_both": "decompose_both",
        "decompose_factor": "decompose_factor",
    },
    "OFT": {"block_size": "oft_block_size", "block_share": "block_share"},
    "BOFT": {"block_size": "boft_block_size", "butterfly_factors": "boft_n_butterfly_factor"},
    "VERA": {"rank": "r", "projection_prng_key": "projection_prng_key"},
    "PREFIX_TUNING": {"num_virtual_tokens": "num_virtual_tokens"},
    "PROMPT_TUNING": {"num_virtual_tokens": "num_virtual_tokens"},
    "TUNEKIT_BOTTLENECK": {"placement": "placement", "size": "size", "activation": "activation"},
}
"""Fields of each method that shape its tensors or say what they mean, as PEFT's config has them."""


def kind(method: AnyMethod) -> str | None:
    """Give PEFT's name of a method; None for full fine-tuning."""
    if isinstance(method, Peft):
        return str(method.config["peft_type"])
    if isinstance(method, QLoRA):
        return "LORA"
    return next((name for name, each in OF.items() if type(method) is each), None)


def settled(start: Start) -> dict[str, Any]:
    """Give the fields of the method, but for its targets, as the adapter has them."""
    found: dict[str, Any] = {}
    for field, name in _SETTLED.get(start.kind, {}).items():
        value = getattr(start.config, name)
        listed = isinstance(value, list)
        found[field] = tuple(sorted(cast("list[str]", value))) if listed else value
    return found


def told(start: Start) -> dict[str, Any]:
    """Give the arguments of PEFT's config that the adapter settles, but for its targets."""
    left = ("task_type", "modules_to_save", "target_modules")
    found = {name: value for name, value in start.arguments().items() if name not in left}
    # A dropout shapes no tensor, and is a matter of the training.
    return {name: value for name, value in found.items() if not name.endswith("dropout")}


def targets(start: Start) -> tuple[str, ...] | None:
    """Name the layers as PEFT is told them; None for a method that chooses none."""
    named = start.arguments().get("target_modules")
    return None if named is None else tuple(sorted(named))


def agree(asked: str | tuple[str, ...], start: Start) -> bool | None:
    """Say whether targets name the layers that the adapter changes; None where nothing tells."""
    changed = start.modules
    tensors = layers.weights(start.base) if start.base else {}
    if asked == "all-norms":
        norms = {
            layers.tail(name.removesuffix(".weight"))
            for name, tensor in tensors.items()
            if name.endswith(".weight") and len(tensor.shape) == 1
        }
        return norms == {layers.tail(name) for name in changed} if norms else None
    if isinstance(asked, str) and asked != "all-linear":
        return None
    targets: Targets = asked if isinstance(asked, tuple) else "all-linear"
    matrices = layers.matrices(tensors)
    if matrices and start.kind != "LN_TUNING":
        return fit.named(targets, matrices, changed) == set(changed)
    return None if isinstance(asked, str) else _name_all(asked, changed)


def _name_all(asked: tuple[str, ...], changed: list[str]) -> bool:
    """Say whether every layer is named, and every name is that of a layer."""
    named: Mapping[str, bool] = {
        target: any(f".{name}".endswith(f".{target}") for name in changed) for target in asked
    }
    ends = tuple(f".{target}" for target in asked)
    return all(named.values()) and all(f".{name}".endswith(ends) for name in changed)
