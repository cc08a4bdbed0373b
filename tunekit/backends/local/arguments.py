"""The objective and the training of a spec as arguments of TRL's trainers."""

from __future__ import annotations

from typing import Any

from tunekit.backends.local import objective
from tunekit.backends.local.batch import split_batch
from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import GRPO, SFT

PADDING_FREE = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "smollm3"})
"""Families whose attention is kept apart by position ids, without FlashAttention."""


def trainer(
    use: Ledger, spec: FineTune, model: Model, data: Profile, *, machine: Machine, devices: int
) -> dict[str, Any]:
    """Give the keyword arguments of TRL's SFTConfig or DPOConfig."""
    batch = use.take("training.batch_size")
    portion = split_batch(
        batch,
        longest=longest(spec, data) * sides(spec),
        devices=devices,
        device=machine.device,
        least=objective.least_per_device(spec),
    )
    if portion is None:
        use.refuse_value(
            "training.batch_size", batch, f"cannot be shared out evenly over {devices} devices"
        )
        portion = (1, 1)
    size, accumulation = portion
    use.note(
        Change(
            field="training.batch_size",
            outcome="adapted",
            asked=batch,
            used=f"{size} x {accumulation} x {devices}",
            reason="sequences per device x accumulation x devices; the product is what was asked",
        )
    )
    max_steps = use.take("training.max_steps")
    common = {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": accumulation,
        "num_train_epochs": use.take("training.epochs"),
        "max_steps": -1 if max_steps is None else max_steps,
        "learning_rate": use.take("training.learning_rate"),
        "lr_scheduler_type": use.take("training.scheduler"),
        "warmup_steps": use.take("training.warmup_ratio"),
        "weight_decay": use.take("training.weight_decay"),
        "max_grad_norm": use.take("training.max_grad_norm"),
        "seed": use.take("training.seed"),
        "gradient_checkpointing": use.take("training.gradient_checkpointing"),
        "save_steps": use.take("training.checkpoint_steps"),
        "optim": "adamw_torch_fused",
    }
    if isinstance(spec.objective, SFT):
        return {**common, **_sft(use, model, size)}
    objective.require_batch(use, spec, data, size=size, devices=devices)
    return {**common, **objective.arguments(use, spec, data)}


def sides(spec: FineTune) -> int:
    """Count the sequences that a row brings into a forward pass: two for a pair of answers."""
    return 1 if spec.objective.type in ("sft", "kto", "grpo") else 2


def longest(spec: FineTune, data: Profile) -> int:
    """Estimate the tokens of the longest sequence, with what the model writes itself."""
    written = spec.objective.max_new_tokens if isinstance(spec.objective, GRPO) else 0
    return max(1, data.longest + written)


def _sft(use: Ledger, model: Model, size: int) -> dict[str, Any]:
    packing = use.take("training.packing")
    apart = model.family in PADDING_FREE
    if packing and not apart:
        use.refuse_value(
            "training.packing",
            True,
            f"for {model.family or 'an unknown family'} nothing keeps packed rows apart here",
        )
        packing = False
    return {
        "packing": packing,
        # The same loss, without the work on padding.
        "padding_free": packing or (apart and size > 1),
        "max_length": use.value("training.max_length") if packing else None,
        "dataset_kwargs": {"skip_prepare_dataset": not packing},
    }
