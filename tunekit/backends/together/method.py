"""Which weights learn: the `training_type` of a job at Together."""

from __future__ import annotations

from typing import Any

from tunekit.backends.plain_lora import ALPHA, RANK, trains
from tunekit.planning.ledger import Ledger
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full, QLoRA

MOST_RANK = 64
"""The highest rank that Together documents for any model; a model may have less."""


def training_type(use: Ledger, spec: FineTune) -> dict[str, Any]:
    """Give method, rank, alpha, dropout and layers."""
    use.take("method.type")
    if not trains(use, spec, "Together"):
        return {"type": "Lora", "lora_r": RANK, "lora_alpha": ALPHA}
    if isinstance(spec.method, Full):
        return {"type": "Full"}
    if isinstance(spec.method, QLoRA):
        reason = "Together trains LoRA over the full base and quantises nothing"
        use.refuse_value("method.type", "qlora", reason)
        use.refuse("method.quantization", reason)
        use.refuse("method.double_quantization", reason)
    targets, asked = use.take("method.target_modules"), getattr(spec.method, "rank", "auto")
    return {
        "type": "Lora",
        "lora_r": _rank(use, asked),
        "lora_alpha": _alpha(use),
        "lora_dropout": use.take("method.dropout"),
        "lora_trainable_modules": targets if isinstance(targets, str) else ",".join(targets),
    }


def _rank(use: Ledger, asked: Any) -> int:
    rank = int(use.value("method.rank"))
    if asked == "auto" and rank > MOST_RANK:
        return int(use.adapt("method.rank", MOST_RANK, "the highest rank that Together takes"))
    return int(use.take("method.rank"))


def _alpha(use: Ledger) -> int:
    alpha = float(use.take("method.alpha"))
    if not alpha.is_integer():
        reason = f"Together takes whole numbers; {round(alpha) or 1} is the nearest"
        use.refuse_value("method.alpha", alpha, reason)
    return round(alpha) or 1
