"""Bring a run up to date: poll once, keep what is new, take the result home."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tunekit.adapters import gate
from tunekit.adapters.provenance import Provenance
from tunekit.backends import registry
from tunekit.backends.backend import Backend, JobId
from tunekit.errors import AdapterError
from tunekit.events import JobState
from tunekit.files import sync_folder
from tunekit.store import Record, RunFolder


def refresh(folder: RunFolder) -> Record:
    """Poll the job of a run that is not over; safe with several processes watching."""
    entry = folder.read()
    if entry.state.terminal or entry.job_id is None:
        return entry
    backend = registry.resolve(entry.backend)
    with folder.refreshing() as entry:
        if entry.state.terminal or entry.job_id is None:
            return entry
        update = backend.poll(JobId(entry.job_id), entry.cursor)
        folder.append(entry, update.events)
        entry.cursor = update.cursor
        entry.native = update.native
        entry.state = update.state
        entry.reason = update.reason
        entry.log = update.log
        entry.error = update.native if update.state is JobState.FAILED else ""
        if update.state is JobState.SUCCEEDED:
            _bring_home(folder, entry, backend)
        if entry.state.terminal:
            entry.ended = time.time()
    return entry


def _bring_home(folder: RunFolder, entry: Record, backend: Backend) -> None:
    """Fetch, check, and only then let the adapter appear."""
    part = folder.path / "adapter.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        backend.fetch(JobId(entry.job_id or ""), part)
        gate.check(part)
        _provenance(entry, part).write(part)
        part.replace(folder.adapter)
        sync_folder(folder.path)
        _copy_out(folder, entry)
    except AdapterError as error:
        shutil.rmtree(part, ignore_errors=True)
        entry.state = JobState.FAILED
        entry.error = "AdapterError"
        entry.reason = str(error)


def _provenance(entry: Record, part: Path) -> Provenance:
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
