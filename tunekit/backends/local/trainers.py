"""TRL's trainers over rows that are tokenised already, and a callback that reports."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import set_seed
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from tunekit.backends.local.job import Job
from tunekit.backends.local.losses import ORPO, PreparedDPO, SimPO, SimPOConfig
from tunekit.backends.local.models import locate
from tunekit.backends.local.reporter import Reporter
from tunekit.backends.local.rows import TrainingRows

_TRAINERS: dict[str, tuple[Any, Any]] = {
    "sft": (SFTConfig, SFTTrainer),
    "dpo": (DPOConfig, PreparedDPO),
    "simpo": (SimPOConfig, SimPO),
    "orpo": (DPOConfig, ORPO),
}
"""By objective: the config and the trainer."""


def build(job: Job, request: dict[str, Any], model: Any, tokenizer: Any, data: TrainingRows) -> Any:
    """Make the trainer of the request's objective."""
    config, trainer = _TRAINERS[request["objective"]]
    args = _arguments(config, job, request)
    # After loading, which may draw random numbers, and right before adapters are initialised.
    set_seed(args.seed)
    return trainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict(data.columns),
        processing_class=tokenizer,
        peft_config=_peft(request),
        callbacks=[Reporter(job)],
    )


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


def save(trainer: Any, tokenizer: Any, request: dict[str, Any], into: Path) -> None:
    """Leave what PEFT or transformers load; the folder appears whole or not at all."""
    part = into.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    # PEFT's model card is a form with nothing filled in.
    (part / "README.md").unlink(missing_ok=True)
    if request["peft"]:
        _tidy(part / "adapter_config.json", request)
    part.replace(into)


def _tidy(path: Path, request: dict[str, Any]) -> None:
    """Name the base so that others find it, and sort what PEFT writes in random order."""
    config = json.loads(path.read_bytes())
    source = locate(request["model"]["source"])
    config["base_model_name_or_path"] = (
        str(Path(source).absolute()) if Path(source).exists() else source
    )
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


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


def _peft(request: dict[str, Any]) -> Any:
    """Give PEFT's config; Unsloth has added its adapters by itself."""
    if request["peft"] is None or request["engine"] == "unsloth":
        return None
    from peft import LoraConfig

    return LoraConfig(**request["peft"])
