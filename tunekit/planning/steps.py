"""How many optimizer steps a plan makes, where epochs and batch size are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.profile import Profile
from tunekit.data.quality.catalogue import severity
from tunekit.planning.picks import FEWEST_STEPS
from tunekit.planning.plan import Plan
from tunekit.planning.replay import with_answers
from tunekit.spec.finetune import FineTune


def steps(spec: FineTune, profile: Profile, plan: Plan) -> int | None:
    """Count the optimizer steps as TRL does; None where the backend picks the batch size."""
    if spec.training.max_steps is not None:
        return spec.training.max_steps
    profile = with_answers(spec, profile)
    epochs, batch = (_number(spec, plan, name) for name in ("epochs", "batch_size"))
    sequences: float | None = profile.rows
    if spec.training.packing:
        length = _number(spec, plan, "max_length")
        sequences = math.ceil(profile.tokens / length) if length else None
    if epochs is None or batch is None or sequences is None:
        return None
    return max(1, math.ceil(epochs * math.ceil(sequences / batch)))


def few_steps(spec: FineTune, profile: Profile, plan: Plan) -> Iterator[Issue]:
    """Say that a run makes fewer optimizer steps than it should, if it does."""
    count = steps(spec, profile, plan)
    weight = severity("few-steps", 1, 1, spec.data.checks)
    if count is None or count >= FEWEST_STEPS or weight == "off":
        return
    yield Issue(
        code="few-steps",
        severity=weight,
        file=profile.source,
        message=f"the run makes {count} optimizer step{'s' * (count > 1)}; {FEWEST_STEPS} are "
        "wanted",
        fix="add rows, raise training.epochs, or lower training.batch_size",
    )


def _number(spec: FineTune, plan: Plan, name: str) -> float | None:
    """Give a field's value; one that a backend has adapted may be in another unit."""
    field = f"training.{name}"
    picked = (c.used for c in plan.changes if c.field == field and c.outcome == "auto")
    value: Any = next(picked, getattr(spec.training, name))
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    return float(value) if known else None
