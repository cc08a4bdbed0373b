"""GRPO as arguments of TRL's trainer: reward functions, and batches that hold whole groups."""

from __future__ import annotations

from typing import Any

from tunekit.data.profile import Profile
from tunekit.planning.ledger import Ledger
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import GRPO


def functions(use: Ledger, spec: FineTune) -> list[str]:
    """Give the names of the reward functions; empty for objectives without any."""
    if not isinstance(spec.objective, GRPO):
        return []
    names = list(use.take("objective.rewards"))
    if not names:
        use.refuse_value("objective.rewards", names, _NO_REWARDS)
    return names


def arguments(use: Ledger, data: Profile) -> dict[str, Any]:
    """Give the keyword arguments that GRPOConfig has of its own."""
    weights = use.take("objective.reward_weights")
    count = len(use.value("objective.rewards"))
    if weights is not None and len(weights) != count:
        use.refuse_value(
            "objective.reward_weights",
            list(weights),
            f"there are {count} reward functions; give one weight for each",
        )
    return {
        "reward_weights": None if weights is None else list(weights),
        "num_generations": use.take("objective.generations"),
        "max_completion_length": use.take("objective.max_new_tokens"),
        "temperature": use.take("objective.temperature"),
        "beta": use.take("objective.beta"),
    }


def require_groups(use: Ledger, objective: GRPO, data: Profile) -> None:
    """Refuse a batch that does not hold all answers to a prompt, or more prompts than there are."""
    batch, answers = int(use.value("training.batch_size")), objective.generations
    prompts = batch // answers
    if batch % answers:
        use.refuse_value(
            "training.batch_size",
            batch,
            f"GRPO compares the {answers} answers to a prompt within one step, and the batch "
            f"counts answers; take a multiple of objective.generations, such as "
            f"{max(1, prompts) * answers} (TRL, GRPOConfig)",
        )
    elif prompts > data.rows:
        use.refuse_value(
            "training.batch_size",
            batch,
            f"a step takes {prompts:,} prompts, and there are {data.rows:,}; "
            f"take {data.rows * answers:,} or less",
        )


def left_out(use: Ledger, objective: GRPO, data: Profile) -> tuple[str, ...]:
    """Say how many prompts TRL leaves out of each pass, so that every step is a whole one."""
    prompts = max(1, int(use.value("training.batch_size")) // objective.generations)
    rest = data.rows % prompts
    if not rest:
        return ()
    return (
        f"training.batch_size: a step takes {prompts:,} prompts, so {rest:,} of {data.rows:,} are "
        "left out in each pass, others each time",
    )


_NO_REWARDS = (
    "GRPO learns from functions that score answers, and none is given; write "
    "objective: {type: grpo, rewards: ['module:function']}, or one that is built in: exact_match, "
    "json_valid, pattern"
)
