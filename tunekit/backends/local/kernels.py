"""Which passes train: our own, or those of transformers and PEFT."""

from __future__ import annotations

from typing import Literal

from tunekit.models import Model
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import LoRA, QLoRA

Kernels = Literal["auto", "fast", "reference"]

FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma3_text"})
"""By `model_type`: those whose layers fast/reading.py knows."""
_DEVICES = ("cpu", "cuda")
OBJECTIVES = frozenset({"sft", "dpo", "ipo", "simpo", "orpo", "cpo", "kto"})
"""Those whose loss is made of log-probabilities at temperature 1."""


def choose(
    spec: FineTune, model: Model, *, asked: Kernels, engine: str, machine: Machine
) -> Change:
    """Decide who computes losses and gradients, with the reason that the plan shows.

    The outcome is "unsupported" where "fast" was asked for and is known not to be had.
    """
    if asked == "reference":
        return _change(asked, "reference", "asked for")
    if why_not := _obstacle(spec, model, engine=engine, machine=machine):
        return _change(asked, "reference", why_not)
    if model.family is None:
        names = ", ".join(sorted(FAMILIES))
        return _change(asked, "fast", f"if the model turns out to be one of {names}")
    return _change(asked, "fast", "rows in one stream without padding, products merged")


def understood(model: Model, machine: Machine) -> bool:
    """Say whether our passes are known to train adapters on a model, on such a device."""
    return machine.device in _DEVICES and model.family in FAMILIES


def told(choice: Change) -> str:
    """Give what the worker is told.

    It looks at the model itself: with "auto" it goes back to the reference where something is not
    understood, with "fast" it ends the run.
    """
    return str(choice.asked if choice.used == "fast" else choice.used)


def _obstacle(spec: FineTune, model: Model, *, engine: str, machine: Machine) -> str:
    """Say why our passes cannot train this, "" where nothing speaks against it."""
    if engine == "unsloth":
        return "Unsloth brings its own"
    if machine.device not in _DEVICES:
        return f"nobody has tried them on {machine.device}"
    method = spec.method
    if not isinstance(method, (LoRA, QLoRA)):
        return f"they train LoRA and QLoRA, not {method.type}"
    if method.use_dora:
        return "DoRA scales the base's weights as well"
    if spec.objective.type not in OBJECTIVES:
        return f"{spec.objective.type} is no objective of log-probabilities alone"
    if model.family is not None and model.family not in FAMILIES:
        return f"layers of {model.family} are not known to them"
    return ""


def _change(asked: Kernels, used: str, reason: str) -> Change:
    return Change(
        field="backend.kernels",
        outcome="unsupported" if asked == "fast" != used else "auto",
        asked=asked,
        used=used,
        reason=reason,
    )
