"""What Together's endpoints accept, key by key, and the limits of its models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.testing.providers.checks import (
    Listed,
    Nested,
    Refused,
    Table,
    anything,
    boolean,
    either,
    integer,
    number,
    one_of,
    text,
)

LORA: Table = {
    "type": one_of("Lora", required=True),
    "lora_r": integer(required=True),
    "lora_alpha": integer(required=True),
    "lora_dropout": number(),
    "lora_trainable_modules": text(),
}
FULL: Table = {"type": one_of("Full", required=True)}
SFT: Table = {
    "method": one_of("sft", required=True),
    "train_on_inputs": either(boolean(), one_of("auto"), required=True),
}
DPO: Table = {
    "method": one_of("dpo", required=True),
    "dpo_beta": number(),
    "dpo_normalize_logratios_by_length": boolean(),
    "dpo_reference_free": boolean(),
    "rpo_alpha": number(),
    "simpo_gamma": number(),
}
LINEAR: Table = {
    "lr_scheduler_type": one_of("linear", required=True),
    "lr_scheduler_args": Nested({"min_lr_ratio": number()}),
}
COSINE: Table = {
    "lr_scheduler_type": one_of("cosine", required=True),
    "lr_scheduler_args": Nested({"min_lr_ratio": number(), "num_cycles": number()}),
}

_TYPE = Nested(tag="type", variants={"Lora": LORA, "Full": FULL}, nullable=True)
_METHOD = Nested(tag="method", variants={"sft": SFT, "dpo": DPO})
_SCHEDULER = Nested(tag="lr_scheduler_type", variants={"linear": LINEAR, "cosine": COSINE})

CREATE: Table = {
    "training_file": text(required=True),
    "validation_file": text(),
    "packing": boolean(),
    "model": text(),
    "n_epochs": integer(),
    "learning_rate": number(),
    "lr_scheduler": _SCHEDULER,
    "warmup_ratio": number(),
    "max_grad_norm": number(),
    "weight_decay": number(),
    "n_checkpoints": integer(),
    "n_evals": integer(),
    "max_seq_length": integer(),
    "batch_size": either(integer(), one_of("max")),
    "gradient_accumulation_steps": integer(),
    "suffix": text(),
    "wandb_key": text(),
    "wandb_base_url": text(),
    "wandb_project_name": text(),
    "wandb_name": text(),
    "wandb_entity": text(),
    "random_seed": integer(),
    "early_stopping_enabled": boolean(),
    "early_stopping_patience": integer(),
    "early_stopping_min_delta": number(),
    "early_stopping_warmup_evals": integer(),
    "training_type": _TYPE,
    "training_method": _METHOD,
    "from_checkpoint": text(),
    "multimodal_params": Nested({"train_vision": boolean()}),
    "from_hf_model": text(),
    "hf_model_revision": text(),
    "hf_api_token": text(),
    "hf_output_repo_name": text(),
}
ESTIMATE: Table = {
    "training_file": text(required=True),
    "validation_file": text(),
    "model": text(),
    "from_checkpoint": text(),
    "n_epochs": integer(),
    "n_evals": integer(),
    "training_method": _METHOD,
    "training_type": _TYPE,
}
PREVIEW: Table = {
    "model": text(required=True),
    "training_file": text(required=True),
    "top_k": integer(),
    "train_on_inputs": boolean(),
    "training_method": one_of("sft"),
}
_PURPOSE = one_of("fine-tune", "calibration", "eval", "batch-api", required=True)
_KIND = one_of("jsonl", "parquet", "csv", required=True)
REGISTER: Table = {
    "purpose": _PURPOSE,
    "file_name": text(required=True),
    "file_type": _KIND,
    "checksum": text(required=True),
}
INITIATE: Table = {
    **REGISTER,
    "file_size": integer(required=True),
    "num_parts": integer(required=True),
}
COMPLETE: Table = {
    "upload_id": text(required=True),
    "file_id": text(required=True),
    "parts": Listed(
        {"part_number": integer(required=True), "etag": text(required=True)}, required=True
    ),
}
ABORT: Table = {"upload_id": text(required=True), "file_id": text(required=True)}

_VISIBILITY = one_of("VISIBILITY_PRIVATE", "VISIBILITY_INTERNAL")
ENDPOINT: Table = {"name": text(required=True), "visibility": _VISIBILITY}
ENDPOINT_UPDATE: Table = {
    "etag": text(),
    "name": text(),
    "trafficSplit": Listed({"deploymentId": text(required=True), "weight": number(required=True)}),
    "visibility": _VISIBILITY,
}
AUTOSCALING: Table = {
    "minReplicas": integer(),
    "maxReplicas": integer(),
    "scaleDown": anything(),
    "scaleDownWindow": text(),
    "scaleToZeroWindow": text(),
    "scaleUp": anything(),
    "scaleUpWindow": text(),
    "scalingMetrics": anything(),
}
DEPLOYMENT: Table = {
    "autoscaling": Nested(AUTOSCALING, required=True),
    "name": text(required=True),
    "config": text(),
    "configId": text(),
    "inactiveTimeout": integer(),
    "maxConcurrentRequestsPerReplica": text(),
    "model": text(),
    "modelId": text(),
    "modelRevisionId": text(),
    "placement": anything(),
}
ADAPTER: Table = {
    "adapterModelId": text(required=True),
    "adapterRevisionId": text(),
    "force": boolean(),
}

_BATCH = {"min_batch_size": 8, "max_batch_size": 96, "max_batch_size_dpo": 48}
LIMITS: Mapping[str, Any] = {
    "default_gradient_accumulation_steps": 1,
    "lora_training": {
        "default_rank": 64,
        "max_rank": 64,
        **_BATCH,
        "target_modules": [
            *("q_proj", "k_proj", "v_proj", "o_proj"),
            *("up_proj", "gate_proj", "down_proj"),
        ],
    },
    "full_training": {**_BATCH},
    "min_learning_rate": 1e-8,
    "max_learning_rate": 0.01,
    "max_num_epochs": 20,
    "max_num_evals": 100,
    "max_num_checkpoints": 10,
    "min_max_seq_length": 512,
    "max_seq_length_sft": 40960,
    "max_seq_length_dpo": 20480,
    "merge_output_lora": True,
    "supports_full_training": True,
    "supports_reasoning": True,
    "supports_tools": True,
    "supports_vision": False,
}


def limits_of(model: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Give the limits of a model; an override of a group changes only the keys it names."""
    limits: dict[str, Any] = {"model_name": model, **LIMITS}
    for name, value in overrides.items():
        inner = isinstance(value, Mapping) and isinstance(limits.get(name), Mapping)
        limits[name] = {**limits[name], **value} if inner else value
    return limits


def require_within(body: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
    """Compare a request that has the right kinds with the limits of its model.

    Raises:
        Refused: 422, with the dotted name of the field.
    """
    _between(body, "n_epochs", 1, limits["max_num_epochs"])
    _between(body, "n_evals", 0, limits["max_num_evals"])
    _between(body, "n_checkpoints", 1, limits["max_num_checkpoints"])
    _between(body, "learning_rate", limits["min_learning_rate"], limits["max_learning_rate"])
    _between(body, "warmup_ratio", 0, 1)
    for name in ("max_grad_norm", "weight_decay", "early_stopping_min_delta"):
        _between(body, name, 0, float("inf"))
    if len(body.get("suffix", "")) > 64:
        raise Refused(422, "suffix must be at most 64 characters", param="suffix")
    dpo = body.get("training_method", {}).get("method") == "dpo"
    most = limits["max_seq_length_dpo" if dpo else "max_seq_length_sft"]
    _between(body, "max_seq_length", limits["min_max_seq_length"], most)
    _require_type(body, limits, dpo=dpo)
    _require_early_stopping(body)


def _require_type(body: Mapping[str, Any], limits: Mapping[str, Any], *, dpo: bool) -> None:
    kind = body.get("training_type") or {"type": "Lora"}
    if kind["type"] == "Full" and not limits["supports_full_training"]:
        message = f"{limits['model_name']} does not support full fine-tuning"
        raise Refused(422, message, param="training_type.type")
    group = limits["lora_training" if kind["type"] == "Lora" else "full_training"]
    if body.get("batch_size", "max") != "max":
        most = group["max_batch_size_dpo" if dpo else "max_batch_size"]
        _between(body, "batch_size", group["min_batch_size"], most)
    if kind["type"] == "Lora":
        _between(kind, "lora_r", 1, group["max_rank"], at="training_type.")
        _between(kind, "lora_dropout", 0, 0.999999, at="training_type.")
        _require_modules(kind.get("lora_trainable_modules", "all-linear"), group)


def _require_modules(modules: str, group: Mapping[str, Any]) -> None:
    unknown = set(modules.split(",")) - {"all-linear", *group["target_modules"]}
    if unknown:
        name = "training_type.lora_trainable_modules"
        message = f"unknown modules {', '.join(sorted(unknown))} for this model"
        raise Refused(422, message, param=name)


def _require_early_stopping(body: Mapping[str, Any]) -> None:
    if not body.get("early_stopping_enabled"):
        return
    if not body.get("validation_file"):
        raise Refused(422, "early stopping requires validation_file", param="validation_file")
    least = body.get("early_stopping_patience", 2) + body.get("early_stopping_warmup_evals", 1) + 1
    _between(body, "n_evals", least, float("inf"))


def _between(
    body: Mapping[str, Any], name: str, least: float, most: float, *, at: str = ""
) -> None:
    value = body.get(name)
    if value is not None and not least <= value <= most:
        place = at + name
        raise Refused(422, f"{place} must be >= {least} and <= {most}", param=place)
