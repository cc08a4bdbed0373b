"""How long, how fast, and how often to look: the schedule of a job at Together."""

from __future__ import annotations

import math
from typing import Any

from tunekit.data.profile import Profile
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change

MOST_CHECKPOINTS = 10
USUAL_EVALUATIONS = 10


def settings(use: Ledger, data: Profile) -> dict[str, Any]:
    """Give epochs, rates, evaluations and checkpoints."""
    epochs = _epochs(use)
    steps = _steps(use, data, epochs)
    if use.value("training.max_steps") is not None:
        use.refuse("training.max_steps", "Together counts whole epochs, not steps")
    use.drop("training.max_steps", "no limit is asked for")
    stopping = _stopping(use, data, steps)
    return {
        **stopping,
        "n_epochs": epochs,
        "learning_rate": use.take("training.learning_rate"),
        "lr_scheduler": _scheduler(use),
        "warmup_ratio": use.take("training.warmup_ratio"),
        "weight_decay": use.take("training.weight_decay"),
        "max_grad_norm": use.take("training.max_grad_norm"),
        "random_seed": use.take("training.seed"),
        "n_evals": _evaluations(use, data, steps, stops=stopping["early_stopping_enabled"]),
        "n_checkpoints": _checkpoints(use, steps),
    }


def _epochs(use: Ledger) -> int:
    asked = float(use.take("training.epochs"))
    if asked.is_integer():
        return int(asked)
    whole = max(1, round(asked))
    use.refuse_value(
        "training.epochs", asked, f"Together trains whole epochs; {whole} is the nearest"
    )
    return whole


def _steps(use: Ledger, data: Profile, epochs: int) -> int:
    """Estimate the optimizer steps."""
    sequences: int = data.rows
    if use.value("training.packing"):
        sequences = math.ceil(data.tokens / use.value("training.max_length"))
    batch: int = use.value("training.batch_size")
    return epochs * max(1, math.ceil(sequences / batch))


def _scheduler(use: Ledger) -> dict[str, Any]:
    shape = use.take("training.scheduler")
    if shape == "cosine":
        # Half a period: from the peak down to the least rate, once.
        arguments = {"min_lr_ratio": 0.0, "num_cycles": 0.5}
        return {"lr_scheduler_type": "cosine", "lr_scheduler_args": arguments}
    if shape != "linear":
        use.refuse_value(
            "training.scheduler",
            shape,
            "Together has cosine and linear; linear is constant with extra: "
            "{together: {lr_scheduler: {lr_scheduler_args: {min_lr_ratio: 1}}}}",
        )
    return {"lr_scheduler_type": "linear", "lr_scheduler_args": {"min_lr_ratio": 0.0}}


def _stopping(use: Ledger, data: Profile, steps: int) -> dict[str, Any]:
    """Give the rule to stop by: Together counts evaluations, of which each checkpoint gets one.

    It keeps the best step too, and by itself spares the first evaluation.
    """
    off = {"early_stopping_enabled": False}
    patience: int | None = use.take("training.early_stopping")
    if patience is None:
        return off
    if why := _cannot_stop(use, data, needed=patience + 1, there=_spread(use, steps)):
        use.refuse_value("training.early_stopping", patience, why)
        return off
    return {
        "early_stopping_enabled": True,
        "early_stopping_patience": patience,
        "early_stopping_min_delta": 0.0,
        "early_stopping_warmup_evals": 0,
    }


def _cannot_stop(use: Ledger, data: Profile, *, needed: int, there: int) -> str:
    if use.value("objective.type") != "sft":
        return "Together does not say which loss of pairs it watches"
    if not data.validation_rows:
        return "there are no held-out rows to stop by; see validation"
    if there < needed:
        return (
            f"it takes {needed} evaluations, and there are about {there} checkpoints to make one "
            "at; lower training.checkpoint_steps"
        )
    return ""


def _spread(use: Ledger, steps: int) -> int:
    """Count the checkpoints that were asked for."""
    every: int = use.value("training.checkpoint_steps")
    return max(1, round(steps / every))


def _evaluations(use: Ledger, data: Profile, steps: int, *, stops: bool) -> int:
    if not data.validation_rows:
        return 0
    count = _spread(use, steps) if stops else min(USUAL_EVALUATIONS, steps)
    use.note(
        Change(
            field="backend.n_evals",
            outcome="auto",
            asked="auto",
            used=count,
            reason=f"times that the {data.validation_rows:,} held-out rows are measured in about "
            f"{steps:,} steps; their tokens are paid for each time",
        )
    )
    return count


def _checkpoints(use: Ledger, steps: int) -> int:
    count = min(MOST_CHECKPOINTS, _spread(use, steps))
    reason = f"Together counts checkpoints: {count}, spread over about {steps:,} steps"
    return int(use.adapt("training.checkpoint_steps", count, reason))
