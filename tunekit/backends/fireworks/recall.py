"""A job that was made elsewhere, as a spec and as a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.backends.backend import Recalled
from tunekit.backends.catalogue import hub_id
from tunekit.backends.fireworks.job import config
from tunekit.backends.fireworks.look import look, table
from tunekit.errors import RequestRejected

_TRAINING = {
    "epochs": ("epochs", float),
    "batch_size": ("batchSizeSamples", int),
    "learning_rate": ("learningRate", float),
    "max_length": ("maxContextLength", int),
    "weight_decay": ("optimizerWeightDecay", float),
    "checkpoint_steps": ("samplerCheckpointSaveIntervalSteps", int),
}
_SHOWN = (
    *("baseModel", "warmStartFrom", "outputModel", "loraRank", "epochs", "learningRate"),
    *("learningRateWarmupSteps", "lrScheduler", "batchSizeSamples", "maxContextLength"),
    *("optimizerWeightDecay", "samplerCheckpointSaveIntervalSteps", "region"),
)
"""Nothing else of a job is kept: the service repeats keys in it."""


def recalled(job: Mapping[str, Any], *, collection: str, base: str) -> Recalled:
    """Give the wishes that fit what a job says of itself.

    Args:
        job: as the service describes it.
        collection: the kind of job.
        base: the full name of its base model.

    Raises:
        RequestRejected: the job names no rows.
    """
    settings = config(job)
    if not isinstance(job.get("dataset"), str):
        raise RequestRejected(f"fireworks: {job.get('name')} names no dataset", backend="fireworks")
    rank, start = settings.get("loraRank"), settings.get("warmStartFrom")
    spec = {
        "model": hub_id(base, "fireworks") or base,
        **({"start_from": f"fireworks:{start}"} if start else {}),
        "data": job["dataset"],
        "validation": None,
        "method": _method(rank),
        "objective": _objective(job),
        "training": _training(settings),
    }
    shown = {name: settings[name] for name in _SHOWN if name in settings}
    body: dict[str, Any] = {"dataset": job["dataset"]}
    if settings is job:
        body |= shown
    else:
        body |= {"trainingConfig": shown, "lossConfig": dict(table(job, "lossConfig"))}
    return Recalled(spec=spec, request={"collection": collection, "body": body})


def _method(rank: Any) -> dict[str, Any]:
    if rank == 0:
        return {"type": "full"}
    known = isinstance(rank, int) and 0 < rank <= 512
    return {"type": "lora", **({"rank": rank} if known else {})}


def _objective(job: Mapping[str, Any]) -> dict[str, Any]:
    loss = table(job, "lossConfig")
    if not loss:
        return {"type": "sft"}
    orpo = loss.get("method") == "ORPO"
    beta = look(loss, "orpo", "lambda") if orpo else look(loss, "dpo", "beta")
    said = {"beta": float(beta)} if isinstance(beta, (int, float)) and beta > 0 else {}
    return {"type": "orpo" if orpo else "dpo", **said}


def _training(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for ours, (theirs, kind) in _TRAINING.items():
        value = settings.get(theirs)
        if isinstance(value, (int, float)) and (value > 0 or ours == "weight_decay"):
            found[ours] = kind(value)
    return found
