"""What the training rewards, as Fireworks says it."""

from __future__ import annotations

from typing import Any

from tunekit.planning.ledger import Ledger
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import DPO, ORPO, SFT, SimPO

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
        loss = _no_loss(use, spec.objective)
    return {"trainingConfig": settings, "lossConfig": loss}


def _beta(use: Ledger) -> float:
    beta = float(use.value("objective.beta"))
    if beta < HIGHEST_BETA:
        return float(use.take("objective.beta"))
    use.refuse("objective.beta", f"Fireworks takes less than {HIGHEST_BETA}", used=_USUAL_BETA)
    return _USUAL_BETA


def _variants(use: Ledger) -> None:
    for field in ("objective.length_normalized", "objective.sft_weight"):
        if use.value(field):
            use.refuse(field, "Fireworks has plain DPO only")
        else:
            use.take(field)


def _no_loss(use: Ledger, objective: SimPO) -> dict[str, Any]:
    """Refuse what Fireworks has no loss for; a run that goes on without it is plain DPO."""
    reason = "Fireworks trains by sft, dpo and orpo"
    use.refuse_value("objective.type", objective.type, reason)
    for field in ("objective.beta", "objective.gamma"):
        use.refuse(field, reason)
    return {"method": "DPO", "dpo": {"beta": _USUAL_BETA}}
