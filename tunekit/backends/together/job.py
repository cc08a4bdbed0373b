"""A job as Together tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.backends.backend import Recalled
from tunekit.backends.catalogue import hub_id, named
from tunekit.backends.together import said
from tunekit.errors import RequestRejected
from tunekit.events import JobState

STATES: Mapping[str, JobState] = {
    "pending": JobState.QUEUED,
    "queued": JobState.QUEUED,
    "running": JobState.RUNNING,
    "compressing": JobState.RUNNING,
    "uploading": JobState.RUNNING,
    "cancel_requested": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "error": JobState.FAILED,
    "user_error": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}
_NANO = 1e9
"""Together counts what a job cost in billionths of a dollar."""
_REQUEST = (
    *("model", "training_file", "validation_file", "n_epochs", "n_checkpoints", "n_evals"),
    *("batch_size", "learning_rate", "lr_scheduler", "warmup_ratio", "max_grad_norm"),
    *("weight_decay", "training_type", "training_method", "from_checkpoint", "random_seed"),
    *("max_seq_length", "packing"),
)


def is_full(job: said.Told) -> bool:
    """Say whether every weight was trained."""
    return said.part(job, "training_type").get("type") == "Full"


def used(job: said.Told) -> dict[str, Any]:
    """Give what Together says it really used; the cost in US dollars."""
    kind = said.part(job, "training_type")
    found: dict[str, Any] = {
        "base_model": said.text(job, "model") or None,
        "warm_start": said.text(job, "from_checkpoint") or None,
        "rank": said.number(kind, "lora_r"),
        "alpha": said.number(kind, "lora_alpha"),
        "dropout": said.number(kind, "lora_dropout"),
        "learning_rate": said.number(job, "learning_rate"),
        "epochs": said.number(job, "n_epochs"),
        "batch_size": said.number(job, "batch_size"),
    }
    if STATES.get(said.text(job, "status"), JobState.RUNNING).terminal:
        price = said.number(job, "total_price")
        found["tokens"] = said.number(job, "token_count")
        found["cost"] = None if price is None else price / _NANO
    return {name: value for name, value in found.items() if value is not None}


def require_base(job: said.Told, model: str | None) -> None:
    """Stop where a job that training goes on from was made of another model than the spec names.

    Raises:
        RequestRejected: it was.
    """
    made_of = said.text(job, "model")
    if model and made_of and _bare(made_of) != _bare(named(model, "together").name):
        raise RequestRejected(
            f"together: start_from: {said.text(job, 'id')} was made of {made_of}, and the spec's "
            f"model is {model}; nothing was bought",
            backend="together",
        )


def _bare(name: str) -> str:
    return name.lower().removesuffix("-reference")


def recalled(job: said.Told) -> Recalled:
    """Give the wishes that would make such a job; what its rows were is not told."""
    name = said.text(job, "model")
    start = said.text(job, "from_checkpoint")
    wishes = {
        "model": hub_id(name, "together") or name,
        **({"start_from": f"together:{start}"} if start else {}),
        "data": f"together:{said.text(job, 'training_file') or 'unknown'}",
        "validation": None,
        "method": _method(said.part(job, "training_type")),
        "objective": _objective(said.part(job, "training_method")),
        "training": _training(job),
    }
    request = {field: job[field] for field in _REQUEST if job.get(field) is not None}
    return Recalled(spec=wishes, request=request)


def _method(kind: said.Told) -> dict[str, Any]:
    if kind.get("type") == "Full":
        return {"type": "full"}
    targets = said.text(kind, "lora_trainable_modules") or "all-linear"
    return _given(
        type="lora",
        rank=said.number(kind, "lora_r"),
        alpha=said.number(kind, "lora_alpha"),
        dropout=said.number(kind, "lora_dropout"),
        target_modules=targets if targets == "all-linear" else targets.split(","),
    )


def _objective(method: said.Told) -> dict[str, Any]:
    if method.get("method") != "dpo":
        return {"type": "sft", **({"train_on": "all"} if _on_all(method) else {})}
    beta = said.number(method, "dpo_beta") or None
    if gamma := said.number(method, "simpo_gamma"):
        return _given(type="simpo", beta=beta, gamma=gamma)
    return _given(
        type="dpo",
        beta=beta,
        sft_weight=said.number(method, "rpo_alpha") or None,
        length_normalized=method.get("dpo_normalize_logratios_by_length") is True or None,
    )


def _on_all(method: said.Told) -> bool:
    return method.get("train_on_inputs") is True


def _training(job: said.Told) -> dict[str, Any]:
    shape = said.text(said.part(job, "lr_scheduler"), "lr_scheduler_type")
    return _given(
        epochs=said.number(job, "n_epochs"),
        batch_size=said.number(job, "batch_size"),
        learning_rate=said.number(job, "learning_rate"),
        scheduler=shape if shape in ("cosine", "linear") else None,
        warmup_ratio=said.number(job, "warmup_ratio"),
        weight_decay=said.number(job, "weight_decay"),
        max_grad_norm=said.number(job, "max_grad_norm") or None,
        max_length=said.number(job, "max_seq_length"),
        packing=job.get("packing"),
        seed=said.number(job, "random_seed"),
    )


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
