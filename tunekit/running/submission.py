"""From a spec to a job that was started once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tunekit import store
from tunekit.backends import registry
from tunekit.backends.backend import Backend, Files
from tunekit.backends.local.parent import Local
from tunekit.data import dropped, issues, render
from tunekit.data.prepare import Prepared
from tunekit.data.rows import Row
from tunekit.errors import BackendError, CostNotAccepted, SpecError, SubmissionUnknown
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import Data, FineTune
from tunekit.store import Record, RunFolder, Tracking

_PACKAGES = ("tunekit-sdk", "torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth")


def record(
    spec: FineTune,
    plan: Plan,
    backend: Backend,
    prepared: Prepared,
    *,
    trackers: Sequence[str] = (),
) -> RunFolder:
    """Make the run folder with exactly the rows that will be sent; nothing has started.

    Raises:
        SpecError: the place for the result is taken.
    """
    _require_free(spec.output.folder)
    folder = store.make(store.new_id(spec.output.name))
    data: dict[str, Any] = {"profile": prepared.profile.model_dump(mode="json")}
    for name, rows in (("train", prepared.train), ("validation", prepared.validation)):
        if rows:
            data[name] = _write(folder, name, rows)
    issues.add(prepared.issues, folder.data / "issues.jsonl")
    if prepared.dropped:
        dropped.add(prepared.dropped, folder.data / "dropped.jsonl")
    # Last: a folder without a record is no run, so that a crash leaves a whole one or none.
    folder.write(
        Record(
            id=folder.id,
            name=spec.output.name,
            created=time.time(),
            spec=_portable(spec, folder.data, held=bool(prepared.validation)),
            plan=plan,
            backend=registry.recipe(backend),
            data=data,
            versions=_versions(),
            trackers={name: Tracking() for name in trackers},
        )
    )
    return folder


def once(folder: RunFolder, backend: Backend) -> None:
    """Start the job, unless it was started before; what is meant is on disk before it is done.

    Raises:
        RunBusy: another process is submitting this run.
    """
    with folder.claim():
        entry = folder.read()
        if entry.job_id is not None:
            return
        _begun(folder)
        try:
            job_id = backend.submit(entry.plan, _files(folder, entry), entry.id)
        except BackendError as error:
            _kept(folder, error)
            raise
        _taken(folder, job_id)


def all_at_once(folders: Sequence[RunFolder], backend: Local) -> None:
    """Start one worker for several runs; what is meant is on disk before it is done.

    Raises:
        RunBusy: another process is submitting one of them.
    """
    with ExitStack() as claims:
        for folder in folders:
            claims.enter_context(folder.claim())
        entries = [folder.read() for folder in folders]
        plans = [entry.plan for entry in entries]
        files = [_files(folder, entry) for folder, entry in zip(folders, entries, strict=True)]
        for folder in folders:
            _begun(folder)
        try:
            jobs = backend.submit_many(plans, files, [folder.id for folder in folders])
        except BackendError as error:
            for folder in folders:
                _kept(folder, error)
            raise
        for folder, job_id in zip(folders, jobs, strict=True):
            _taken(folder, job_id)


def _begun(folder: RunFolder) -> None:
    """Put on record that a job may come to be."""
    with folder.refreshing() as entry:
        entry.submitting = True


def _taken(folder: RunFolder, job_id: str) -> None:
    """Put on record that the job is there."""
    with folder.refreshing() as entry:
        entry.job_id = job_id
        entry.submitting = False
        entry.reason = ""


def _kept(folder: RunFolder, error: BackendError) -> None:
    """Keep in the record why there is no job yet."""
    if isinstance(error, CostNotAccepted):
        error.run_id = folder.id
    with folder.refreshing() as entry:
        entry.submitting = isinstance(error, SubmissionUnknown)
        entry.reason = str(error)


def _files(folder: RunFolder, entry: Record) -> Files:
    """Give the files with the hashes that their rows had when they were checked."""
    held_out = entry.data.get("validation")
    return Files(
        train=folder.data / "train.jsonl",
        validation=folder.data / "validation.jsonl" if held_out else None,
        train_sha256=entry.data["train"]["sha256"],
        validation_sha256=held_out["sha256"] if held_out else None,
        job=folder.job,
    )


def _write(folder: RunFolder, name: str, rows: tuple[Row, ...]) -> dict[str, Any]:
    return {"rows": len(rows), "sha256": render.write(rows, folder.data / f"{name}.jsonl")}


def _portable(spec: FineTune, data: Path, *, held: bool) -> dict[str, Any]:
    """Keep what was set; for rows in memory, the files in the run folder that hold them."""
    wishes = spec.minimal()
    if not isinstance(spec.data.source, str):
        checks = {"checks": dict(spec.data.checks)} if spec.data.checks else {}
        wishes["data"] = {"source": str(data / "train.jsonl"), **checks}
        if spec.validation is not None and not isinstance(spec.validation, Data):
            # Split already: the rows held out are in a file of their own, if there are any.
            held_out = data / "validation.jsonl"
            wishes["validation"] = {"source": str(held_out)} if held else None
    if isinstance(spec.validation, Data) and not isinstance(spec.validation.source, str):
        wishes["validation"] = {"source": str(data / "validation.jsonl")}
    if spec.output.folder:
        # The process that sees the end may stand in another folder.
        wishes["output"]["folder"] = str(Path(spec.output.folder).expanduser().absolute())
    return wishes


def _require_free(folder: str | None) -> None:
    """Refuse a place for the result that holds something, before anything is trained."""
    if folder is None:
        return
    path = Path(folder).expanduser()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise SpecError(f"output.folder: {path} is not an empty folder; name a new one")


def _versions() -> dict[str, str]:
    found = {package: _version(package) for package in _PACKAGES}
    return {package: number for package, number in found.items() if number is not None}


@cache
def _version(package: str) -> str | None:
    """Give the version of an installed package, which takes a while to find."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
