"""The objective and the training of a spec as arguments of TRL's trainers."""

from __future__ import annotations

from typing import Any

from tunekit.backends.local.batch import split_batch
from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import DPO, SFT, SimPO

PADDING_FREE = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "smollm3"})
"""Families whose attention is kept apart by position ids, without FlashAttention."""


def trainer(
    use: Ledger, spec: FineTune, model: Model, data: Profile, *, machine: Machine, devices: int
) -> dict[str, Any]:
    """Give the keyword arguments of TRL's SFTConfig or DPOConfig."""
    batch = use.take("training.batch_size")
    pairs = not isinstance(spec.objective, SFT)
    portion = split_batch(
        batch, longest=data.longest * (2 if pairs else 1), devices=devices, device=machine.device
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
    own = _preference(use, spec) if pairs else _sft(use, model, size)
    return {**common, **own}


def _preference(use: Ledger, spec: FineTune) -> dict[str, Any]:
    if use.value("training.packing"):
        use.refuse("training.packing", "pairs of answers cannot be packed")
    else:
        use.take("training.packing")
    wanted: dict[str, Any] = {"beta": use.take("objective.beta"), "max_length": None}
    if isinstance(spec.objective, SimPO):
        wanted["gamma"] = use.take("objective.gamma")
    if isinstance(spec.objective, DPO):
        wanted.update(_dpo(use))
    return wanted


def _dpo(use: Ledger) -> dict[str, Any]:
    """Give TRL's list of losses, weighted where there is more than one."""
    losses = ["sigmoid_norm" if use.take("objective.length_normalized") else "sigmoid"]
    weight = use.take("objective.sft_weight")
    if not weight:
        return {"loss_type": losses}
    return {"loss_type": [*losses, "sft"], "loss_weights": [1.0, weight]}


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
