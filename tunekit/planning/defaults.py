"""The values that a spec leaves to the plan, each with its reason and source."""

from __future__ import annotations

from collections.abc import Callable

from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning import bottleneck, rank, schedule, verdicts
from tunekit.planning.activations import Step
from tunekit.planning.fit import need, on_device
from tunekit.planning.learning_rate import learning_rate, scale
from tunekit.planning.machine import Machine
from tunekit.planning.picks import Picks, auto
from tunekit.planning.plan import Change
from tunekit.planning.shape import shape
from tunekit.spec.finetune import FineTune

UNKNOWN_CONTEXT = 8192
PACKED_LENGTH = 2048
_AT_ONCE = {"cpu": 2048}
"""Tokens that a device takes at once, 8192 where not said otherwise."""


def resolve(
    spec: FineTune, model: Model, profile: Profile, machine: Machine, *, fast: bool = False
) -> dict[str, Change]:
    """Pick a value for every field that is "auto", keyed by the field's dotted path.

    `fast` says that our own passes will train, which take less memory.

    Depends on its arguments alone: equal specs give equal plans.
    """
    picks = Picks(spec, model, profile, machine, fast)
    for name, choose in _CHOICES.items():
        if picks.asks(name):
            picks.changes[name] = choose(picks)
    return picks.changes


def _max_length(picks: Picks) -> Change:
    context = picks.model.context or UNKNOWN_CONTEXT
    known = f"the model takes {context:,} tokens"
    if not picks.model.context:
        known = f"the model's limit is not known here; taken as {context:,}, or less if it says so"
    if not picks.spec.training.packing:
        reason = f"{known}; a row costs what it needs, so none is cut that the model can take"
        return auto("training.max_length", context, reason)
    used = min(context, max(PACKED_LENGTH, picks.longest))
    reason = f"short rows are joined into sequences of {used:,}; {known}"
    return auto("training.max_length", used, reason)


def _learning_rate(picks: Picks) -> Change:
    batch = int(picks.value("training.batch_size"))
    return learning_rate(
        picks.spec,
        picks.model,
        batch=batch,
        steps=picks.steps(batch),
        scale=scale(picks.spec.method, picks.value),
    )


def _dtype(picks: Picks) -> Change:
    used = "bfloat16" if picks.machine.bf16 else "float32"
    fast = "is" if picks.machine.bf16 else "is not known to be"
    reason = f"the {picks.machine.device} here {fast} fast at bfloat16"
    return auto("training.dtype", used, reason, "arXiv 1905.12322")


def _gradient_checkpointing(picks: Picks) -> Change:
    name = "training.gradient_checkpointing"
    source = "arXiv 1604.06174, 2205.05198"
    size, memory = shape(picks.model), picks.machine.memory_bytes
    if size is None or not memory:
        unknown = "the model's size" if size is None else "the device's memory"
        return auto(name, True, f"{unknown} is unknown, and it saves memory", source)
    without, with_it = (
        need(on_device(size, _step(picks, checkpointing), picks.machine.device))
        for checkpointing in (False, True)
    )
    reason = f"{without / 1e9:.1f} GB needed without it, {memory / 1e9:.1f} GB there"
    if without <= memory:
        return auto(name, False, reason, source)
    return auto(name, True, f"{reason}; {with_it / 1e9:.1f} GB needed with it", source)


def _step(picks: Picks, checkpointing: bool) -> Step:
    return Step(
        picks.spec.method,
        picks.value("training.dtype"),
        _tokens_at_once(picks),
        rank=picks.value("method.rank") or 0,
        checkpointing=checkpointing,
        reference=picks.objective in ("dpo", "ipo", "kto"),
        fast=picks.fast,
    )


def _tokens_at_once(picks: Picks) -> int:
    length = int(picks.value("training.max_length"))
    row = picks.sides * (length if picks.spec.training.packing else min(length, picks.longest))
    budget = _AT_ONCE.get(picks.machine.device, 8192)
    return max(row, min(budget, row * int(picks.value("training.batch_size"))))


def _train_on(picks: Picks) -> Change:
    used = {"conversation": "assistant", "completion": "completion"}.get(picks.profile.kind, "all")
    what = {
        "assistant": "conversations: every assistant turn counts",
        "completion": "prompts with an answer: the answer counts",
        "all": "plain text: every token counts",
    }
    return auto("objective.train_on", used, what[used], "" if used == "all" else "arXiv 2401.13586")


_CHOICES: dict[str, Callable[[Picks], Change]] = {
    "objective.train_on": _train_on,
    "objective.desirable_weight": verdicts.desirable_weight,
    "objective.undesirable_weight": verdicts.undesirable_weight,
    "training.max_length": _max_length,
    "training.epochs": schedule.epochs,
    "training.batch_size": schedule.batch_size,
    "training.scheduler": schedule.scheduler,
    "training.warmup_ratio": schedule.warmup_ratio,
    "method.rank": rank.rank,
    "method.alpha": rank.alpha,
    "method.size": bottleneck.size,
    "training.learning_rate": _learning_rate,
    "training.dtype": _dtype,
    "training.gradient_checkpointing": _gradient_checkpointing,
    "training.checkpoint_steps": schedule.checkpoint_steps,
}
"""In this order: each may look at what stands before it."""
