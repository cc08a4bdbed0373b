"""The values that a spec leaves to the plan, each with its reason and source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning.activations import Step
from tunekit.planning.fit import need, on_device
from tunekit.planning.learning_rate import ALPHA, REGRET, learning_rate
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change
from tunekit.planning.shape import rank_parameters, shape
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import DPO, SFT

FEWEST_STEPS = 100
"""Optimizer steps that a run should have; a smaller batch is the first means to that."""
UNKNOWN_CONTEXT = 8192
PACKED_LENGTH = 2048
_AT_ONCE = {"cpu": 2048}
"""Tokens that a device takes at once, 8192 where not said otherwise."""


def resolve(spec: FineTune, model: Model, profile: Profile, machine: Machine) -> dict[str, Change]:
    """Pick a value for every field that is "auto", keyed by the field's dotted path.

    Depends on its arguments alone: equal specs give equal plans.
    """
    picks = _Picks(spec, model, profile, machine)
    for name, choose in _CHOICES.items():
        if picks.asks(name):
            picks.changes[name] = choose(picks)
    return picks.changes


@dataclass(frozen=True)
class _Picks:
    """What is known, and what has been picked so far."""

    spec: FineTune
    model: Model
    profile: Profile
    machine: Machine
    changes: dict[str, Change] = field(default_factory=dict[str, Change])

    def asks(self, name: str) -> bool:
        return bool(self.value(name) == "auto")

    def value(self, name: str) -> Any:
        """Give a field's picked or written value, None where the method has no such field."""
        if name in self.changes:
            return self.changes[name].used
        group, _, key = name.partition(".")
        return getattr(getattr(self.spec, group), key, None)

    @property
    def pairs(self) -> bool:
        return not isinstance(self.spec.objective, SFT)

    @property
    def sequences(self) -> int:
        if self.spec.training.packing:
            return max(1, math.ceil(self.profile.tokens / int(self.value("training.max_length"))))
        return max(1, self.profile.rows)

    @property
    def longest(self) -> int:
        """Tokens of the longest row: the estimate of 4 characters each, doubled for safety."""
        return max(64, 64 * math.ceil(2 * self.profile.longest / 64))

    def steps(self, batch: int) -> int:
        """Count the optimizer steps as TRL does: each epoch ends with a step of its own."""
        if self.spec.training.max_steps is not None:
            return self.spec.training.max_steps
        epochs = float(self.value("training.epochs"))
        return max(1, math.ceil(epochs * math.ceil(self.sequences / batch)))


def _auto(name: str, used: Any, reason: str, source: str = "") -> Change:
    return Change(field=name, outcome="auto", asked="auto", used=used, reason=reason, source=source)


def _max_length(picks: _Picks) -> Change:
    context = picks.model.context or UNKNOWN_CONTEXT
    known = f"the model takes {context:,} tokens"
    if not picks.model.context:
        known = f"the model's limit is not known here; taken as {context:,}, or less if it says so"
    if not picks.spec.training.packing:
        reason = f"{known}; a row costs what it needs, so none is cut that the model can take"
        return _auto("training.max_length", context, reason)
    used = min(context, max(PACKED_LENGTH, picks.longest))
    reason = f"short rows are joined into sequences of {used:,}; {known}"
    return _auto("training.max_length", used, reason)


def _epochs(picks: _Picks) -> Change:
    rows = picks.profile.rows
    steps = ((100, 4, "under 100"), (500, 3, "100 to 499"), (2000, 2, "500 to 1,999"))
    used, group = next(
        ((n, name) for limit, n, name in steps if rows < limit), (1, "2,000 or more")
    )
    reason = f"{group} rows take {used} pass{'es' if used > 1 else ''}; there are {rows:,}"
    if picks.spec.training.max_steps is not None:
        reason += "; max_steps decides where the run ends"
    return _auto("training.epochs", used, reason, "Azure fine-tuning guidance")


def _batch_size(picks: _Picks) -> Change:
    sizes = (64, 32, 16, 8) if picks.pairs else (16, 8, 4)
    share = max(1, picks.machine.devices)
    fitting = [size for size in sizes if size <= picks.sequences] or [_power_below(picks.sequences)]
    enough = [size for size in fitting if picks.steps(size) >= FEWEST_STEPS]
    size = enough[0] if enough else fitting[-1]
    used = share * math.ceil(size / share)
    steps = picks.steps(used)
    reason = f"{picks.sequences:,} sequences make {steps:,} optimizer steps"
    if size < sizes[0]:
        reason += f"; {sizes[0]} at a time would make {picks.steps(sizes[0])}"
        reason += f", and {FEWEST_STEPS} are wanted"
    if used != size:
        reason += f"; a multiple of {share} devices"
    source = "arXiv 2310.16944" if picks.pairs else "arXiv 2602.09492"
    return _auto("training.batch_size", used, reason, source)


def _power_below(count: int) -> int:
    return 1 << (count.bit_length() - 1)


def _rank(picks: _Picks) -> Change:
    size = shape(picks.model)
    source = f"{REGRET}; arXiv 2404.05405"
    if size is None:
        return _auto("method.rank", 16, "nothing is known of the model's sizes", source)
    low, high = _rank_limits(picks, size.parameters)
    per_rank = rank_parameters(size, picks.value("method.target_modules"))
    need = 0.5 * picks.profile.trained_tokens / per_rank
    fitting = 1 << max(0, math.ceil(math.log2(need)) if need > 0 else 0)
    used = min(max(fitting, low), high)
    reason = (
        f"half a parameter for each of {picks.profile.trained_tokens:,} trained tokens, "
        f"at {per_rank:,} per rank: {need:.2g}"
    )
    if used != fitting:
        reason += f", kept between {low} and {high}"
    return _auto("method.rank", used, reason, source)


def _rank_limits(picks: _Picks, parameters: int) -> tuple[int, int]:
    if picks.pairs:
        return 8, 128
    if parameters <= 5e9:
        return 16, 128
    return (16, 64) if parameters <= 2e10 else (8, 32)


def _alpha(picks: _Picks) -> Change:
    return _auto("method.alpha", ALPHA, "the value that the learning rates assume", REGRET)


def _learning_rate(picks: _Picks) -> Change:
    batch = int(picks.value("training.batch_size"))
    return learning_rate(
        picks.spec,
        picks.model,
        batch=batch,
        steps=picks.steps(batch),
        alpha=picks.value("method.alpha"),
    )


def _dtype(picks: _Picks) -> Change:
    used = "bfloat16" if picks.machine.bf16 else "float32"
    fast = "is" if picks.machine.bf16 else "is not known to be"
    reason = f"the {picks.machine.device} here {fast} fast at bfloat16"
    return _auto("training.dtype", used, reason, "arXiv 1905.12322")


def _gradient_checkpointing(picks: _Picks) -> Change:
    name = "training.gradient_checkpointing"
    source = "arXiv 1604.06174, 2205.05198"
    size, memory = shape(picks.model), picks.machine.memory_bytes
    if size is None or not memory:
        unknown = "the model's size" if size is None else "the device's memory"
        return _auto(name, True, f"{unknown} is unknown, and it saves memory", source)
    without, with_it = (
        need(on_device(size, _step(picks, checkpointing), picks.machine.device))
        for checkpointing in (False, True)
    )
    reason = f"{without / 1e9:.1f} GB needed without it, {memory / 1e9:.1f} GB there"
    if without <= memory:
        return _auto(name, False, reason, source)
    return _auto(name, True, f"{reason}; {with_it / 1e9:.1f} GB needed with it", source)


def _step(picks: _Picks, checkpointing: bool) -> Step:
    return Step(
        picks.spec.method,
        picks.value("training.dtype"),
        _tokens_at_once(picks),
        rank=picks.value("method.rank") or 0,
        checkpointing=checkpointing,
        reference=isinstance(picks.spec.objective, DPO),
    )


def _tokens_at_once(picks: _Picks) -> int:
    sides = 2 if picks.pairs else 1
    length = int(picks.value("training.max_length"))
    row = sides * (length if picks.spec.training.packing else min(length, picks.longest))
    budget = _AT_ONCE.get(picks.machine.device, 8192)
    return max(row, min(budget, row * int(picks.value("training.batch_size"))))


def _checkpoint_steps(picks: _Picks) -> Change:
    steps = picks.steps(int(picks.value("training.batch_size")))
    used = max(10, math.ceil(steps / 5))
    reason = f"a fifth of {steps:,} optimizer steps, and at least 10"
    return _auto("training.checkpoint_steps", used, reason)


def _train_on(picks: _Picks) -> Change:
    used = {"conversation": "assistant", "completion": "completion"}.get(picks.profile.kind, "all")
    what = {
        "assistant": "conversations: every assistant turn counts",
        "completion": "prompts with an answer: the answer counts",
        "all": "plain text: every token counts",
    }
    return _auto(
        "objective.train_on", used, what[used], "" if used == "all" else "arXiv 2401.13586"
    )


_CHOICES: dict[str, Callable[[_Picks], Change]] = {
    "objective.train_on": _train_on,
    "training.max_length": _max_length,
    "training.epochs": _epochs,
    "training.batch_size": _batch_size,
    "method.rank": _rank,
    "method.alpha": _alpha,
    "training.learning_rate": _learning_rate,
    "training.dtype": _dtype,
    "training.gradient_checkpointing": _gradient_checkpointing,
    "training.checkpoint_steps": _checkpoint_steps,
}
"""In this order: each may look at what stands before it."""
