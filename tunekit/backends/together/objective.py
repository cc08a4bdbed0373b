"""What is rewarded: the `training_method` of a job at Together."""

from __future__ import annotations

from typing import Any

from tunekit.data.profile import Profile
from tunekit.planning.ledger import Ledger
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import DPO, SFT, SimPO

WEIGHTS = "message weights"
"""What `objective.train_on` becomes when the rows themselves say which turns count."""


def training_method(
    use: Ledger, spec: FineTune, data: Profile, warnings: list[str]
) -> dict[str, Any]:
    """Give the objective and its settings."""
    objective = spec.objective
    use.take("objective.type")
    if isinstance(objective, SFT):
        return {"method": "sft", "train_on_inputs": _on_inputs(use, data)}
    if isinstance(objective, SimPO):
        warnings.append("objective.gamma: Together does not say whether its margin is the paper's")
        return _dpo(
            dpo_beta=use.take("objective.beta"),
            dpo_normalize_logratios_by_length=True,
            dpo_reference_free=True,
            simpo_gamma=use.take("objective.gamma"),
        )
    if isinstance(objective, DPO):
        return _preferred(use)
    name = type(objective).__name__
    reason = f"Together has DPO, RPO and SimPO, not {name}; train by it with backend: local"
    use.refuse_value("objective.type", objective.type, reason)
    for field in type(objective).model_fields.keys() - {"type"}:
        use.refuse(f"objective.{field}", reason)
    return _dpo(dpo_beta=0.1)


def _preferred(use: Ledger) -> dict[str, Any]:
    for field, usual in (("objective.loss", "sigmoid"), ("objective.label_smoothing", 0)):
        if use.value(field) != usual:
            use.refuse(field, "Together has DPO's sigmoid loss only; backend: local has others")
        else:
            use.take(field)
    settings = _dpo(
        dpo_beta=use.take("objective.beta"),
        dpo_normalize_logratios_by_length=use.take("objective.length_normalized"),
    )
    weight = use.take("objective.sft_weight")
    return {**settings, "rpo_alpha": weight} if weight else settings


def _dpo(**settings: Any) -> dict[str, Any]:
    off = {"dpo_normalize_logratios_by_length": False, "dpo_reference_free": False}
    return {"method": "dpo", **off, **settings}


def _on_inputs(use: Ledger, data: Profile) -> bool:
    """Say whether more than the answers counts."""
    wanted = use.value("objective.train_on")
    if wanted == "completion" and data.kind == "conversation":
        use.adapt(
            "objective.train_on",
            WEIGHTS,
            "each message is sent with a weight: 1 for the last answer",
        )
        return False
    return bool(use.take("objective.train_on") == "all")
