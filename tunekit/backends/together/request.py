"""Translate a spec into the body that starts a job at Together, offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tunekit.backends import warm_start
from tunekit.backends.catalogue import named
from tunekit.backends.together import schedule
from tunekit.backends.together.extra import NO_CHECKPOINT, is_checkpoint
from tunekit.backends.together.method import training_type
from tunekit.backends.together.objective import training_method
from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning import replay
from tunekit.planning.defaults import resolve
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change, Plan
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import SFT

MACHINE = Machine("cuda", 1, 1, 80 * 10**9, True, "a machine of Together's")
"""Made up, so that a plan is the same wherever it is made."""
_BATCHES = {"sft": (8, 16), "pairs": (8, 32)}
"""Sequences per step that most models take."""


def build(spec: FineTune, model: Model, data: Profile, *, model_name: str | None) -> Plan:
    """Account for every field and make the request, all but the files and the mark."""
    use = Ledger(spec, _resolved(spec, model, data))
    warnings: list[str] = []
    request: dict[str, Any] = {
        "model": _model(use, spec, model_name),
        "packing": use.take("training.packing"),
        "batch_size": use.take("training.batch_size"),
        # What the service does with more than one is not documented.
        "gradient_accumulation_steps": 1,
        "training_type": training_type(use, spec),
        "training_method": training_method(use, spec, data, warnings),
        **schedule.settings(use, data),
    }
    length = use.take("training.max_length")
    if length is not None:
        request["max_seq_length"] = length
    for field in ("training.dtype", "training.gradient_checkpointing"):
        use.drop(field, "Together chooses it for its own machines")
    for field in ("data", "validation", "evaluation", "output", "extra"):
        use.hold(field)
    replay.hold(use, spec, data)
    if (start := _start(use)) is not None:
        request["from_checkpoint"] = start
    merge(request, spec.extra.get("together", {}))
    _continued(use, request, warnings)
    return use.close(request, backend="together", data=data, warnings=warnings)


def merge(request: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Put native settings over ours, part by part."""
    for key, value in extra.items():
        current = request.get(key)
        if isinstance(value, Mapping) and isinstance(current, dict):
            inner = cast("Mapping[str, Any]", value)
            merge(cast("dict[str, Any]", current), inner)
        else:
            request[key] = value


def _model(use: Ledger, spec: FineTune, model_name: str | None) -> str:
    name = model_name or named(spec.model, "together").name
    reason = "as model_name says" if model_name else "Together's name of the model"
    used = use.adapt("model", name, reason)
    if not model_name and spec.model.startswith(("/", ".", "~")):
        reason = "lies in a folder here; name Together's copy of it with model_name"
        use.refuse_value("model", spec.model, reason)
    return str(used)


def _start(use: Ledger) -> str | None:
    """Give the checkpoint that training goes on from."""
    start = warm_start.job_of(use, "together")
    if start is not None and not is_checkpoint(start):
        warm_start.refuse(use, NO_CHECKPOINT)
        return None
    return start


def _continued(use: Ledger, request: dict[str, Any], warnings: list[str]) -> None:
    """Leave out the model where training goes on from a checkpoint: they exclude each other."""
    checkpoint = request.get("from_checkpoint")
    if not checkpoint:
        return
    del request["model"]
    warm_start.replaces_model(use, checkpoint, "Together")
    if request["training_type"].get("type") == "Lora":
        warnings.append(
            f"start_from: Together does not say whether an adapter that goes on from {checkpoint} "
            "stands on the base alone; compare it with run.hosted before you rely on it"
        )


def _resolved(spec: FineTune, model: Model, data: Profile) -> dict[str, Change]:
    """Pick the automatic values within what Together is known to take."""
    # Without max_steps, which Together has not: the epochs decide.
    free = _training(spec, max_steps=None)
    picks = resolve(free, model, data, MACHINE)
    low, high = _BATCHES["sft" if isinstance(spec.objective, SFT) else "pairs"]
    batch = picks.get("training.batch_size")
    if batch is not None and not low <= batch.used <= high:
        used = min(max(low, batch.used), high)
        picks = resolve(_training(free, batch_size=used), model, data, MACHINE)
        reason = f"{batch.reason}; most models at Together take {low} to {high}"
        picks["training.batch_size"] = batch.model_copy(update={"used": used, "reason": reason})
    length = picks.get("training.max_length")
    if length is not None and not spec.training.packing:
        reason = "left to Together: the most that the model takes there, for pairs about half of it"
        update = {"used": None, "reason": reason}
        picks["training.max_length"] = length.model_copy(update=update)
    return picks


def _training(spec: FineTune, **changes: Any) -> FineTune:
    return spec.model_copy(update={"training": spec.training.model_copy(update=changes)})
