"""TRL's trainers over rows that are tokenised already, and a callback that reports."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import set_seed
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.kto_config import KTOConfig
from trl.trainer.reward_config import RewardConfig
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tunekit.backends.local.columns import functions
from tunekit.backends.local.curve import Curve
from tunekit.backends.local.evaluator import Evaluator
from tunekit.backends.local.fast.install import install
from tunekit.backends.local.job import Job, is_first
from tunekit.backends.local.losses import CPO, ORPO, CPOConfig, PreparedDPO, SimPO, SimPOConfig
from tunekit.backends.local.methods import attach, config
from tunekit.backends.local.models import locate
from tunekit.backends.local.prepared import PreparedGRPO, PreparedKTO, PreparedReward
from tunekit.backends.local.reporter import Reporter
from tunekit.backends.local.rows import TrainingRows
from tunekit.events import LogEvent

_TRAINERS: dict[str, tuple[Any, Any]] = {
    "sft": (SFTConfig, SFTTrainer),
    "dpo": (DPOConfig, PreparedDPO),
    "simpo": (SimPOConfig, SimPO),
    "orpo": (DPOConfig, ORPO),
    "ipo": (DPOConfig, PreparedDPO),
    "cpo": (CPOConfig, CPO),
    "kto": (KTOConfig, PreparedKTO),
    "reward": (RewardConfig, PreparedReward),
    "grpo": (GRPOConfig, PreparedGRPO),
}
"""By objective: the config and the trainer."""


def build(
    job: Job,
    request: dict[str, Any],
    model: Any,
    tokenizer: Any,
    data: TrainingRows,
    *,
    passes: Callable[[Any, dict[str, Any]], Iterable[str]] = install,
) -> Any:
    """Make the trainer of the request's objective; `passes` decides who computes."""
    arguments, kind = _TRAINERS[request["objective"]]
    args = _arguments(arguments, job, request)
    # After loading, which may draw random numbers, and right before adapters are initialised.
    set_seed(args.seed)
    method = attach.Method(job, request)
    trainer = kind(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict(data.columns),
        processing_class=tokenizer,
        peft_config=config.build(request, model),
        callbacks=[method, Reporter(job)],
        **({"reward_funcs": functions(request)} if request["objective"] == "grpo" else {}),
    )
    count = partial(total_steps, trainer)
    begun = method.begin(trainer, tokenizer, data.columns, steps=count)
    # Our passes move the weights, so they come after what a method makes of them.
    for line in (*begun, *passes(trainer, request)):
        if is_first():
            job.emit(LogEvent(message=line))
    return trainer


def inner(trainer: Any) -> Any:
    """Give the model as it is, without what accelerate wraps around it."""
    return trainer.accelerator.unwrap_model(trainer.model)


def watch(job: Job, request: dict[str, Any], trainer: Any, evaluator: Evaluator | None) -> Curve:
    """Let the held-out loss be measured during the training, where the request asks for it."""
    wanted = request["evaluation"].get("curve")
    rows = evaluator.curve_rows() if evaluator and wanted else ()
    curve = Curve(job, rows, patience=wanted["patience"] if wanted else None)
    # Every process takes part in the vote on whether to stop.
    if wanted:
        trainer.add_callback(curve)
    return curve


def total_steps(trainer: Any) -> int:
    """Compute how many optimizer steps the whole run has."""
    args = trainer.args
    if args.max_steps > 0:
        return int(args.max_steps)
    batches = len(trainer.get_train_dataloader())
    updates = max(1, math.ceil(batches / int(args.gradient_accumulation_steps)))
    epochs = float(args.num_train_epochs)
    return math.ceil(epochs * updates)


def load_weights(trainer: Any, checkpoint: Path) -> None:
    """Take the weights of a checkpoint without training."""
    trainer._load_from_checkpoint(str(checkpoint))
    attach.of(trainer).take_up(checkpoint)


def save(trainer: Any, tokenizer: Any, request: dict[str, Any], into: Path) -> None:
    """Leave what PEFT or transformers load; the folder appears whole or not at all."""
    part = into.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    attach.of(trainer).save(part)
    tokenizer.save_pretrained(part)
    # PEFT's model card is a form with nothing filled in.
    (part / "README.md").unlink(missing_ok=True)
    if request["peft"]:
        _tidy(part / "adapter_config.json", request)
    part.replace(into)


def _tidy(path: Path, request: dict[str, Any]) -> None:
    """Name the base so that others find it, and sort what PEFT writes in random order."""
    content = json.loads(path.read_bytes())
    source = locate(request["model"]["source"])
    content["base_model_name_or_path"] = (
        str(Path(source).absolute()) if Path(source).exists() else source
    )
    if content.get("task_type") == "SEQ_CLS":
        # PEFT lists every name that a head may have.
        content["modules_to_save"] = ["score"]
    for name in ("target_modules", "feedforward_modules"):
        if isinstance(content.get(name), list):
            content[name] = sorted(content[name])
    # The weights are there, and what they began with is over.
    for name in ("eva_config", "loftq_config"):
        if name in content:
            content[name] = None
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def _arguments(kind: Any, job: Job, request: dict[str, Any]) -> Any:
    known = {field.name for field in dataclasses.fields(kind)}
    wanted = dict(request["trainer"])
    recompute = wanted.pop("gradient_checkpointing")
    # transformers 5.23 renames the argument; older ones know only the old name.
    new = "activation_checkpointing"
    wanted[new if new in known else "gradient_checkpointing"] = recompute
    return kind(
        **wanted,
        output_dir=str(job.checkpoints),
        use_cpu=request["device"] == "cpu",
        bf16=request["model"]["autocast"],
        save_strategy="steps",
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=request["device"] == "cuda",
        ddp_find_unused_parameters=False if "RANK" in os.environ else None,
    )
