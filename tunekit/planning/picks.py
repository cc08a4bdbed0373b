"""What is known when automatic values are picked, and what has been picked so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune

FEWEST_STEPS = 100
"""Optimizer steps that a run should have; a smaller batch is the first means to that."""


@dataclass(frozen=True)
class Picks:
    """A spec, its model, rows and machine, and the values picked so far."""

    spec: FineTune
    model: Model
    profile: Profile
    machine: Machine
    fast: bool = False
    """Our own passes train."""
    changes: dict[str, Change] = field(default_factory=dict[str, Change])

    def asks(self, name: str) -> bool:
        """Say whether the field is left to the plan."""
        return self.value(name) in ("auto", "sweep")

    def value(self, name: str) -> Any:
        """Give a field's picked or written value, None where the method has no such field."""
        if name in self.changes:
            return self.changes[name].used
        group, _, key = name.partition(".")
        return getattr(getattr(self.spec, group), key, None)

    @property
    def method(self) -> str:
        """The method's tag."""
        return self.spec.method.type

    @property
    def objective(self) -> str:
        """The objective's tag."""
        return self.spec.objective.type

    @property
    def answers(self) -> int:
        """Sequences made of one row: a rollout writes several answers to each prompt."""
        return int(self.spec.objective.generations) if self.spec.objective.type == "grpo" else 1

    @property
    def sides(self) -> int:
        """Sequences that a row brings into a forward pass: two for a pair of answers."""
        return 1 if self.objective in ("sft", "kto", "grpo") else 2

    @property
    def _unpaired(self) -> bool:
        """KTO takes the two answers of a pair one by one."""
        return self.objective == "kto" and self.profile.kind == "preference"

    @property
    def sequences(self) -> int:
        """Sequences of one pass over the rows."""
        if self.spec.training.packing:
            return max(1, math.ceil(self.profile.tokens / int(self.value("training.max_length"))))
        return max(1, self.profile.rows) * self.answers * (2 if self._unpaired else 1)

    @property
    def longest(self) -> int:
        """Tokens of the longest row: the estimate of 4 characters each, doubled for safety."""
        written = int(getattr(self.spec.objective, "max_new_tokens", 0))
        return max(64, 64 * math.ceil(2 * self.profile.longest / 64)) + written

    def steps(self, batch: int) -> int:
        """Count the optimizer steps as TRL does: each epoch ends with a step of its own."""
        if self.spec.training.max_steps is not None:
            return self.spec.training.max_steps
        epochs = float(self.value("training.epochs"))
        return max(1, math.ceil(epochs * math.ceil(self.sequences / batch)))


def auto(name: str, used: Any, reason: str, source: str = "") -> Change:
    """Make the line of an automatic value."""
    return Change(field=name, outcome="auto", asked="auto", used=used, reason=reason, source=source)
