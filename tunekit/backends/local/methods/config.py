"""The config of PEFT that a request asks for, once the model is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunekit.backends.local.methods import adalora
from tunekit.errors import SpecError


def build(request: dict[str, Any], model: Any) -> Any:
    """Give the config; None for full fine-tuning, and with Unsloth, which adds its own adapters.

    Raises:
        SpecError: PEFT does not take these values, or the model has no such layers.
    """
    if request["peft"] is None or request["engine"] == "unsloth":
        return None
    from peft import get_peft_config

    wanted = dict(request["peft"])
    kind = wanted["peft_type"]
    if kind in _COMPLETE:
        wanted.update(_COMPLETE[kind](wanted, model))
    try:
        if kind == "TUNEKIT_BOTTLENECK":
            from tunekit.adapters.bottleneck.tuner import peft_config

            return peft_config(**{k: v for k, v in wanted.items() if k != "peft_type"})
        return get_peft_config(wanted)
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"method: PEFT takes no such {kind}: {error}") from error


def _norms(wanted: dict[str, Any], model: Any) -> dict[str, Any]:
    """Name every norm of the model."""
    if wanted["target_modules"] != "all-norms":
        return {}
    found = [name for name, module in model.named_modules() if _is_norm(module)]
    if not found:
        raise SpecError("method.target_modules: the model has no LayerNorm and no RMSNorm")
    return {"target_modules": found}


def _is_norm(module: Any) -> bool:
    return type(module).__name__.endswith(("RMSNorm", "LayerNorm"))


def _even(wanted: dict[str, Any], model: Any) -> dict[str, Any]:
    """Let EVA keep the rank of each layer as it was asked for: no redistribution."""
    if wanted.get("init_lora_weights") != "eva":
        return {}
    from peft import EvaConfig

    return {"eva_config": EvaConfig(rho=1.0)}


_COMPLETE: dict[str, Callable[[dict[str, Any], Any], dict[str, Any]]] = {
    "LN_TUNING": _norms,
    "ADALORA": adalora.open_ended,
    "LORA": _even,
}
"""By type: what only the worker can say."""
