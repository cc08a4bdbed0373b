"""Bring a run up to date: poll once, keep what is new, take the result home."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

from tunekit import models
from tunekit.adapters import gate
from tunekit.adapters.asked import Asked
from tunekit.adapters.provenance import Provenance
from tunekit.adapters.rename import rename_base
from tunekit.backends import registry
from tunekit.backends.backend import Backend, JobId, Update
from tunekit.backends.catalogue import EMBEDDED
from tunekit.errors import AdapterError, TunekitError
from tunekit.events import JobState
from tunekit.files import sync_folder
from tunekit.planning.plan import Plan
from tunekit.running import reporting
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full, LoRA, QLoRA
from tunekit.store import Record, RunFolder


def refresh(folder: RunFolder) -> Record:
    """Poll the job of a run that is not over; safe with several processes watching.

    The service is asked without holding the run, so that a slow one keeps nobody waiting; of
    several answers to one cursor the first is kept.

    Raises:
        BackendDown: the service does not answer; nothing has changed.
    """
    seen = folder.read()
    if seen.state.terminal or seen.job_id is None:
        return seen
    backend = registry.resolve(seen.backend)
    update = backend.poll(JobId(seen.job_id), seen.cursor)
    with folder.refreshing() as entry:
        if entry.state.terminal or (entry.job_id, entry.cursor) != (seen.job_id, seen.cursor):
            return entry
        _keep(folder, entry, update)
    if update.state is JobState.SUCCEEDED:
        entry = _brought_home(folder, backend)
    if entry.state.terminal:
        reporting.at_end(folder)
    return entry


def _keep(folder: RunFolder, entry: Record, update: Update) -> None:
    """Take what is new into the record; success is only there when the result is."""
    folder.append(entry, update.events)
    entry.cursor = update.cursor
    entry.native = update.native
    entry.reason = update.reason
    entry.log = update.log
    entry.hosted = update.hosted or entry.hosted
    entry.used = {**entry.used, **update.used}
    entry.error = update.native if update.state is JobState.FAILED else ""
    entry.state = JobState.RUNNING if update.state is JobState.SUCCEEDED else update.state
    if entry.state.terminal:
        entry.ended = time.time()


def _brought_home(folder: RunFolder, backend: Backend) -> Record:
    """Fetch, check, and only then let the adapter appear and the run succeed."""
    with folder.fetching() as ours:
        entry = folder.read()
        if not ours or entry.state.terminal:
            return entry
        fault = _home(folder, entry, backend) if backend.capabilities.download else None
        with folder.refreshing() as entry:
            entry.state = JobState.FAILED if fault else JobState.SUCCEEDED
            entry.error = "AdapterError" if fault else ""
            entry.reason = str(fault or "")
            entry.ended = time.time()
    return entry


def _home(folder: RunFolder, entry: Record, backend: Backend) -> AdapterError | None:
    """Put the result in its place; gives what is wrong with it."""
    part = folder.path / "adapter.part"
    shutil.rmtree(part, ignore_errors=True)
    if folder.adapter.exists():
        # Brought by a process that ended before it could say so.
        return None
    part.mkdir(mode=0o700)
    try:
        backend.fetch(JobId(entry.job_id or ""), part)
        # First the name: a service's own may look like that of another model.
        alias = _renamed(entry, part)
        gate.check(part, _asked(entry))
        _provenance(entry, part, alias).write(part)
        part.replace(folder.adapter)
        sync_folder(folder.path)
        _copy_out(folder, entry)
    except AdapterError as error:
        shutil.rmtree(part, ignore_errors=True)
        return error
    return None


def _asked(entry: Record) -> Asked | None:
    """Say what must be in the weights, for a result that comes from elsewhere."""
    if not entry.hosted or not entry.data:
        return None
    spec = FineTune(**entry.spec)
    if isinstance(spec.method, Full):
        return Asked(kind="model", base=entry.plan.model)
    lora = spec.method if isinstance(spec.method, (LoRA, QLoRA)) else LoRA()
    rank = _sent(entry.plan, "method.rank", lora.rank)
    targets = _sent(entry.plan, "method.target_modules", lora.target_modules)
    layers = None
    with contextlib.suppress(TunekitError):
        layers = models.describe(entry.plan.model).layers
    return Asked(
        kind="adapter",
        base=entry.plan.model,
        rank=rank if isinstance(rank, int) else None,
        target_modules=targets if targets in (None, "all-linear") else tuple(targets),
        layers=layers,
    )


def _sent(plan: Plan, field: str, asked: Any) -> Any:
    """Give what the backend was told of a field; None where it decides by itself."""
    for change in plan.changes:
        if change.field == field:
            return change.used if change.outcome in ("adapted", "auto") else None
    return asked


def _renamed(entry: Record, part: Path) -> str | None:
    """Let the adapter name its base as the spec does; gives the service's name of it."""
    if not entry.hosted:
        return None
    base = EMBEDDED.get(entry.plan.model, entry.plan.model)
    return rename_base(part, base, entry.used.get("base_model"))


def _provenance(entry: Record, part: Path, alias: str | None) -> Provenance:
    return Provenance.of(
        part,
        run_id=entry.id,
        spec=entry.spec,
        request=entry.plan.request,
        base_model=entry.plan.model,
        versions=entry.versions,
        data={
            name: entry.data[name]["sha256"]
            for name in ("train", "validation")
            if name in entry.data
        },
        base_alias=alias,
        used=entry.used,
    )


def _copy_out(folder: RunFolder, entry: Record) -> None:
    """Put a copy where `output.folder` asks for it."""
    wanted = entry.spec.get("output", {}).get("folder")
    if not wanted:
        return
    target = Path(wanted).expanduser()
    if target.exists() and any(target.iterdir()):
        raise AdapterError(
            f"output.folder: {target} is not empty; the result is in {folder.adapter}"
        )
    shutil.copytree(folder.adapter, target, dirs_exist_ok=True)
