"""How long, how fast, and in what portions: the schedule of a job at Fireworks."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from tunekit.data.profile import Profile
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune

CONTEXT_STEP = 16


def settings(use: Ledger, spec: FineTune, data: Profile) -> dict[str, Any]:
    """Give epochs, batch, rates, checkpoints and length."""
    epochs, batch = _epochs(use), int(use.take("training.batch_size"))
    wanted: dict[str, Any] = {
        "epochs": epochs,
        "batchSizeSamples": batch,
        "learningRate": use.take("training.learning_rate"),
        "lrScheduler": {use.take("training.scheduler"): {}},
        "learningRateWarmupSteps": _warmup(use, epochs, math.ceil(max(1, data.rows) / batch)),
        "optimizerWeightDecay": use.take("training.weight_decay"),
        "samplerCheckpointSaveIntervalSteps": use.take("training.checkpoint_steps"),
        **_length(use, spec.training.max_length),
    }
    if use.value("training.max_steps") is None:
        use.take("training.max_steps")
    else:
        use.refuse("training.max_steps", "Fireworks counts passes over the rows; set epochs")
    use.refuse("training.packing", "Fireworks always packs rows, in its own way")
    use.refuse("training.max_grad_norm", "Fireworks sets it")
    use.refuse("training.seed", "Fireworks draws its own")
    use.drop("training.dtype", "Fireworks' own affair")
    use.drop("training.gradient_checkpointing", "Fireworks' own affair")
    return wanted


def _epochs(use: Ledger) -> int:
    asked = float(use.value("training.epochs"))
    whole = math.ceil(asked)
    if whole == asked:
        use.take("training.epochs")
    else:
        use.refuse("training.epochs", "Fireworks takes whole passes over the rows", used=whole)
    return whole


def _warmup(use: Ledger, epochs: int, each: int) -> int:
    """Turn the share of steps into steps, rounded up as transformers does."""
    ratio = Decimal(str(use.value("training.warmup_ratio")))
    steps = math.ceil(ratio * epochs * each)
    reason = f"Fireworks counts steps: {ratio} of {epochs} x {each:,}"
    return int(use.adapt("training.warmup_ratio", steps, reason))


def _length(use: Ledger, asked: int | str) -> dict[str, int]:
    if asked == "auto":
        use.hold("training.max_length")
        use.note(
            Change(
                field="training.max_length",
                outcome="auto",
                asked="auto",
                used="the model's own",
                reason="Fireworks takes rows up to the context that it trains the model with",
            )
        )
        return {}
    length = CONTEXT_STEP * math.ceil(int(asked) / CONTEXT_STEP)
    reason = f"Fireworks takes multiples of {CONTEXT_STEP}"
    return {"maxContextLength": int(use.adapt("training.max_length", length, reason))}
