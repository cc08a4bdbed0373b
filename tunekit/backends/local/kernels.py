"""Which passes train: our own, or those of transformers and PEFT."""

from __future__ import annotations

from typing import Any, Literal

from tunekit.models import Model
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import LoRA, QLoRA

Kernels = Literal["auto", "fast", "reference"]

FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma3_text"})
"""By `model_type`: those whose layers fast/reading.py knows."""
OBJECTIVES = frozenset({"sft", "dpo", "ipo", "simpo", "orpo", "cpo", "kto"})
"""Those whose loss is made of log-probabilities at temperature 1."""
_FIELD = "backend.kernels"


def choose(
    use: Ledger,
    spec: FineTune,
    model: Model,
    *,
    asked: Kernels,
    engine: str,
    machine: Machine,
) -> str:
    """Note who computes losses and gradients, and give what the worker is told.

    The worker looks at the model itself: "auto" goes back to the reference where something is not
    understood, "fast" ends the run. Refuses "fast" where it is known that it cannot be had.
    """
    if asked == "reference":
        use.note(_change(asked, "reference", "asked for"))
        return "reference"
    why_not = _obstacle(spec, model, engine=engine, machine=machine)
    if why_not and asked == "fast":
        use.refuse_value(_FIELD, asked, why_not, used="reference")
        return "reference"
    if why_not:
        use.note(_change(asked, "reference", why_not))
        return "reference"
    reason = "one stream without padding, merged products, no gradient that nobody needs"
    if model.family is None:
        reason = f"if the model turns out to be one of {', '.join(sorted(FAMILIES))}"
    use.note(_change(asked, "fast", reason))
    return asked


def _obstacle(spec: FineTune, model: Model, *, engine: str, machine: Machine) -> str:
    """Say why our passes cannot train this, "" where nothing speaks against it."""
    if engine == "unsloth":
        return "Unsloth brings its own"
    if machine.device not in ("cpu", "cuda"):
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


def _change(asked: Any, used: str, reason: str) -> Change:
    return Change(field=_FIELD, outcome="auto", asked=asked, used=used, reason=reason)
