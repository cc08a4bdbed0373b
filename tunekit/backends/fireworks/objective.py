"""What the training rewards, as Fireworks says it."""

from __future__ import annotations

from typing import Any

from tunekit.planning.ledger import Ledger
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import DPO, GRPO, ORPO, SFT

HIGHEST_BETA = 0.5
_USUAL_BETA = 0.1
"""Rafailov et al. 2023, arXiv 2305.18290."""


def body(use: Ledger, spec: FineTune, settings: dict[str, Any]) -> dict[str, Any]:
    """Give the body of a job: the settings on top for chats, inside for pairs."""
    use.take("objective.type")
    if isinstance(spec.objective, SFT):
        return {**settings, "evalAutoCarveout": False}
    if isinstance(spec.objective, ORPO):
        loss: dict[str, Any] = {"method": "ORPO", "orpo": {"lambda": use.take("objective.beta")}}
    elif isinstance(spec.objective, DPO):
        loss = {"method": "DPO", "dpo": {"beta": _beta(use)}}
        _variants(use)
    else:
        loss = _no_loss(use, spec)
    return {"trainingConfig": settings, "lossConfig": loss}


def _beta(use: Ledger) -> float:
    beta = float(use.value("objective.beta"))
    if beta < HIGHEST_BETA:
        return float(use.take("objective.beta"))
    use.refuse("objective.beta", f"Fireworks takes less than {HIGHEST_BETA}", used=_USUAL_BETA)
    return _USUAL_BETA


def _variants(use: Ledger) -> None:
    plain = {"loss": "sigmoid", "label_smoothing": 0, "length_normalized": False, "sft_weight": 0}
    for name, value in plain.items():
        field = f"objective.{name}"
        if use.value(field) != value:
            use.refuse(field, "Fireworks has plain DPO only")
        else:
            use.take(field)


def _no_loss(use: Ledger, spec: FineTune) -> dict[str, Any]:
    """Refuse what Fireworks has no loss for; a run that goes on without it is plain DPO."""
    objective = spec.objective
    name = type(objective).__name__
    reason = f"Fireworks trains by sft, dpo and orpo, not by {name}; backend: local does"
    if isinstance(objective, GRPO):
        reason = (
            "reinforcement learning at Fireworks runs an evaluator that lies there, not Python "
            "functions of yours; backend: local runs them"
        )
    use.refuse_value("objective.type", objective.type, reason)
    for field in type(objective).model_fields.keys() - {"type"}:
        use.refuse(f"objective.{field}", reason)
    return {"method": "DPO", "dpo": {"beta": _USUAL_BETA}}
