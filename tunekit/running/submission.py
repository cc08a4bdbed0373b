"""From a spec to a job that was started once."""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tunekit import store
from tunekit.backends import registry
from tunekit.backends.backend import Backend, Files
from tunekit.data import render
from tunekit.data.prepare import Prepared
from tunekit.data.rows import Row
from tunekit.files import sha256
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune
from tunekit.store import Record, RunFolder

_PACKAGES = ("tunekit-sdk", "torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth")


def record(spec: FineTune, plan: Plan, backend: Backend, prepared: Prepared) -> RunFolder:
    """Make the run folder with exactly the rows that will be sent; nothing has started."""
    run_id = store.new_id(spec.output.name)
    folder = store.create(
        Record(
            id=run_id,
            name=spec.output.name,
            created=time.time(),
            spec=_portable(spec, store.place(run_id) / "data"),
            plan=plan,
            backend=registry.recipe(backend),
            versions=_versions(),
        )
    )
    data: dict[str, Any] = {"profile": prepared.profile.model_dump(mode="json")}
    for name, rows in (("train", prepared.train), ("validation", prepared.validation)):
        if rows:
            data[name] = _write(folder, name, rows)
    with folder.refreshing() as entry:
        entry.data = data
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
        with folder.refreshing() as entry:
            entry.submitting = True
        job_id = backend.submit(entry.plan, _files(folder, entry), entry.id)
        with folder.refreshing() as entry:
            entry.job_id = job_id
            entry.submitting = False


def _files(folder: RunFolder, entry: Record) -> Files:
    validation = folder.data / "validation.jsonl"
    held_out = entry.data.get("validation")
    return Files(
        train=folder.data / "train.jsonl",
        validation=validation if held_out else None,
        train_sha256=sha256(folder.data / "train.jsonl"),
        validation_sha256=sha256(validation) if held_out else None,
        job=folder.job,
    )


def _write(folder: RunFolder, name: str, rows: tuple[Row, ...]) -> dict[str, Any]:
    return {"rows": len(rows), "sha256": render.write(rows, folder.data / f"{name}.jsonl")}


def _portable(spec: FineTune, data: Path) -> dict[str, Any]:
    """Keep what was set; for rows in memory, the file in the run folder that holds them."""
    wishes = spec.minimal()
    for key in ("data", "validation"):
        value = wishes.get(key)
        if isinstance(value, dict) and not isinstance(value.get("source"), str):
            name = "train" if key == "data" else "validation"
            wishes[key] = {**value, "source": str(data / f"{name}.jsonl")}
            # The folder holds rows in our own shape, whatever shape they came in.
            wishes[key].pop("format", None)
    return wishes


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
