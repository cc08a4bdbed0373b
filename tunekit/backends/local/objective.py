"""The objective of a spec as arguments of TRL's trainers, and its traps, each with the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunekit.backends.local import rollouts
from tunekit.backends.local.traps import SOFT, asks_reference
from tunekit.data.profile import Profile
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full, Peft
from tunekit.spec.objectives import GRPO

LOWEST_IPO, HIGHEST_IPO = 0.01, 10.0
"""Betas of IPO that ask for 50 and for 0.05 nats per token; nobody can mean more, or less."""
REACHABLE_IPO = 0.04
"""Below it IPO asks for 12 nats per token: from certain to no better than chance, in a vocabulary
of 150,000."""
BALANCE = (1.0, 4 / 3)
"""Wanted to unwanted, each times its weight (KTO, arXiv 2402.01306, equation 8)."""


def arguments(use: Ledger, spec: FineTune, data: Profile) -> dict[str, Any]:
    """Give the keyword arguments that the trainer of the objective has of its own."""
    if use.value("training.packing"):
        use.refuse("training.packing", _PACKED[spec.objective.type])
    else:
        use.take("training.packing")
    if use.value("training.early_stopping") and spec.objective.type not in _IMITATE:
        asked = use.value("training.early_stopping")
        use.refuse_value("training.early_stopping", asked, _UNWATCHED)
    if spec.objective.type == "reward" and _has_virtual_tokens(spec):
        use.refuse_value("method.type", spec.method.type, _VIRTUAL)
    wanted = _FAMILIES[spec.objective.type](use, data)
    return {**wanted, **_reference(use, spec)}


def scores_only(use: Ledger, spec: FineTune) -> dict[str, int]:
    """Give the settings of an evaluation that writes no answers; refuse that it should."""
    wanted = spec.evaluation.model_dump(mode="json", exclude_unset=True)
    for field in ("generations", "forgetting", "overfitting", "judge", "json_schema"):
        if wanted.get(field) not in ("auto", None, 0):
            use.refuse_value(f"evaluation.{field}", wanted[field], _NO_ANSWERS)
    return dict.fromkeys(("generations", "examples", "max_new_tokens"), 0)


def least_per_device(spec: FineTune) -> int:
    """Give the sequences that a device must hold at once."""
    return 2 if spec.objective.type == "kto" else 1


def require_batch(use: Ledger, spec: FineTune, data: Profile, *, size: int, devices: int) -> None:
    """Refuse a batch from which the objective can learn nothing, or not what it says."""
    objective, batch = spec.objective, int(use.value("training.batch_size"))
    if objective.type == "kto" and size < 2:
        use.refuse_value("training.batch_size", batch, _ALONE.format(least=2 * devices))
    if isinstance(objective, GRPO):
        rollouts.require_groups(use, objective, data)


def warnings(use: Ledger, spec: FineTune, data: Profile) -> tuple[str, ...]:
    """Say what is allowed and yet worth knowing."""
    found: list[str] = []
    if spec.objective.type == "ipo" and float(use.value("objective.beta")) < REACHABLE_IPO:
        found.append(
            f"objective.beta: {_gap(use):g} nats per token are out of reach, so beta hardly "
            "matters: the learning rate and the number of steps say how far the model goes"
        )
    if spec.objective.type == "kto" and data.kind == "judged":
        found += _imbalance(use, data)
    if isinstance(spec.objective, GRPO):
        found += rollouts.left_out(use, spec.objective, data)
    return tuple(found)


def _has_virtual_tokens(spec: FineTune) -> bool:
    method = spec.method
    native = method.config.get("peft_type") if isinstance(method, Peft) else None
    return method.type in ("prefix", "prompt", "ptuning") or native in SOFT


def _dpo(use: Ledger, data: Profile) -> dict[str, Any]:
    """Give TRL's list of losses, weighted where there is more than one."""
    loss = use.take("objective.loss")
    if use.take("objective.length_normalized"):
        if loss != "sigmoid":
            use.refuse_value("objective.length_normalized", True, _SUMMED.format(loss=loss))
        else:
            loss = "sigmoid_norm"
    smoothing = use.take("objective.label_smoothing")
    if smoothing and loss != "robust":
        use.refuse_value("objective.label_smoothing", smoothing, _UNSMOOTHED.format(loss=loss))
    wanted = {"beta": use.take("objective.beta"), "max_length": None, "loss_type": [loss]}
    if loss == "robust":
        wanted["label_smoothing"] = smoothing
    weight = use.take("objective.sft_weight")
    if weight:
        wanted |= {"loss_type": [loss, "sft"], "loss_weights": [1.0, weight]}
    return wanted


def _ipo(use: Ledger, data: Profile) -> dict[str, Any]:
    beta = float(use.take("objective.beta"))
    if not LOWEST_IPO <= beta <= HIGHEST_IPO:
        use.refuse_value(
            "objective.beta",
            beta,
            f"IPO's beta is not DPO's: it asks for a gap of 1 / (2 beta) = {_gap(use):g} nats per "
            "token, since TRL averages log-ratios over an answer's tokens, as the paper's authors "
            f"do (arXiv 2310.12036); take {LOWEST_IPO:g} to {HIGHEST_IPO:g}, usually 0.1",
        )
    else:
        use.note(
            Change(
                field="objective.beta",
                outcome="adapted",
                asked=beta,
                used=f"a gap of {_gap(use):g} nats per token",
                reason="1 / (2 beta), of log-ratios averaged per token (arXiv 2310.12036, TRL)",
            )
        )
    return {"beta": beta, "max_length": None, "loss_type": ["ipo"]}


def _gap(use: Ledger) -> float:
    return 1 / (2 * float(use.value("objective.beta")))


def _simpo(use: Ledger, data: Profile) -> dict[str, Any]:
    wanted = {"beta": use.take("objective.beta"), "gamma": use.take("objective.gamma")}
    return {**wanted, "max_length": None}


def _orpo(use: Ledger, data: Profile) -> dict[str, Any]:
    return {"beta": use.take("objective.beta"), "max_length": None}


def _cpo(use: Ledger, data: Profile) -> dict[str, Any]:
    wanted = {"beta": use.take("objective.beta"), "sft_weight": use.take("objective.sft_weight")}
    return {**wanted, "max_length": None}


def _kto(use: Ledger, data: Profile) -> dict[str, Any]:
    if data.kind == "preference":
        use.note(
            Change(
                field="data",
                outcome="adapted",
                asked=f"{data.rows:,} pairs",
                used=f"{2 * data.rows:,} answers",
                reason="KTO judges answers one by one: the chosen one of a pair is wanted, the "
                "rejected one is not",
            )
        )
    return {
        "beta": use.take("objective.beta"),
        "desirable_weight": float(use.take("objective.desirable_weight")),
        "undesirable_weight": float(use.take("objective.undesirable_weight")),
        "max_length": None,
    }


def _imbalance(use: Ledger, data: Profile) -> list[str]:
    """Warn of weights that somebody set, and that leave the two kinds out of balance."""
    wanted = data.wanted * float(use.value("objective.desirable_weight"))
    unwanted = (data.rows - data.wanted) * float(use.value("objective.undesirable_weight"))
    low, high = BALANCE
    if not unwanted or low - 0.01 <= wanted / unwanted <= high + 0.01:
        return []
    return [
        f"objective.desirable_weight: wanted answers weigh {wanted / unwanted:.2g} times as much "
        "as unwanted ones; between 1 and 1.33 is advised (arXiv 2402.01306), which 'auto' keeps"
    ]


def _reward(use: Ledger, data: Profile) -> dict[str, Any]:
    coefficient = use.take("objective.center_rewards_coefficient")
    return {"center_rewards_coefficient": coefficient or None, "max_length": None}


def _reference(use: Ledger, spec: FineTune) -> dict[str, Any]:
    """Say where the answers of the base come from when all weights change."""
    if not isinstance(spec.method, Full) or not asks_reference(spec):
        return {}
    drawn = isinstance(spec.objective, GRPO)
    reason = "answers that are written in training cannot be scored before it"
    if not drawn:
        reason = (
            "all weights change, so the base scores every answer once, before the first step; "
            "a second model would take its memory to the end"
        )
    use.note(
        Change(
            field="objective.reference",
            outcome="auto",
            asked="auto",
            used="a second model" if drawn else "log-probabilities computed beforehand",
            reason=reason,
            source="TRL, precompute_ref_log_probs",
        )
    )
    return {} if drawn else {"precompute_ref_log_probs": True}


_FAMILIES: dict[str, Callable[[Ledger, Profile], dict[str, Any]]] = {
    "dpo": _dpo,
    "ipo": _ipo,
    "kto": _kto,
    "simpo": _simpo,
    "orpo": _orpo,
    "cpo": _cpo,
    "reward": _reward,
    "grpo": rollouts.arguments,
}
"""By the objective's tag; SFT has none of its own."""

_PAIRED = "pairs of answers cannot be packed"
_PACKED = {
    **dict.fromkeys(("dpo", "ipo", "simpo", "orpo", "cpo", "reward"), _PAIRED),
    "kto": "answers that are compared with those of other rows cannot be packed",
    "grpo": "answers are written one by one, so there is nothing to pack",
}
_SUMMED = (
    "TRL has length-normalised DPO for the sigmoid loss only, not for {loss}; "
    "leave out one of the two"
)
_UNSMOOTHED = (
    "TRL's {loss} loss has no label smoothing (dpo_config.py); write loss: robust, which corrects "
    "for wrong labels without bias (arXiv 2403.00409), or leave it out"
)
_ALONE = (
    "KTO measures the KL divergence on each answer beside another row's prompt, and with one "
    "sequence per device there is no other (trl/trainer/kto_trainer.py); take {least} or more"
)
_VIRTUAL = (
    "virtual tokens hide the token ids, so transformers reads the score of the shorter row of a "
    "batch at its padding (modeling_layers.py), and PEFT cannot take a prefix off such a model "
    "(peft_model.py, disable_adapter); take lora"
)
_IMITATE = ("orpo", "cpo")
_UNWATCHED = (
    "it watches the loss of held-out answers that are imitated, and this objective may raise that "
    "while it learns; leave it out, and give epochs or max_steps"
)
_NO_ANSWERS = (
    "a reward model gives a score and cannot answer; what is measured is how often the chosen "
    "answer of a held-out pair scores higher; leave it out"
)
