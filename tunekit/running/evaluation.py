"""Evaluate a run that is at home: on this machine, in a process of its own."""

from __future__ import annotations

import math
import time
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from tunekit import models
from tunekit.backends import registry
from tunekit.backends.backend import Backend, JobId
from tunekit.backends.local.job import Job
from tunekit.backends.local.process import start
from tunekit.data import render
from tunekit.data.prepare import prepare
from tunekit.data.profile import Profile
from tunekit.errors import RunError
from tunekit.evaluation.compare import Comparison
from tunekit.events import EvaluationEvent, JobState
from tunekit.files import locked
from tunekit.spec.finetune import Data, FineTune
from tunekit.store import Record, RunFolder

Source = str | PathLike[str]


def evaluate(
    folder: RunFolder,
    *,
    data: Source | None = None,
    adapter: Path | None = None,
    keep: bool = True,
) -> Comparison:
    """Measure base and tuned model on the held-out rows, and add the result to the run's events.

    Args:
        folder: A run that has succeeded and whose result is at home.
        data: Rows to measure on in the place of the run's own held-out rows.
        adapter: Another adapter over the same base, in the place of the run's.
        keep: Add the result to the run's events.

    Raises:
        RunError: there is nothing to measure, or measuring failed.
        MissingExtra: a training library is not installed.
    """
    entry = folder.read()
    job = begin(folder)
    job.write("request", request(folder, entry, job.path, data=data, adapter=adapter))
    found = finish(folder, job)
    if keep:
        event = EvaluationEvent(id=job.path.name, time=time.time(), result=found)
        with folder.refreshing() as record:
            folder.append(record, [event])
    return Comparison.model_validate(found)


def request(
    folder: RunFolder, entry: Record, place: Path, *, data: Source | None, adapter: Path | None
) -> dict[str, Any]:
    """Make the worker's request.

    Raises:
        RunError: the run has no result here, or no held-out rows.
    """
    spec = FineTune(**entry.spec)
    if not folder.adapter.is_dir():
        raise RunError(
            f"{entry.id} is {entry.state}: its result is not here, so it cannot be measured here",
            run_id=entry.id,
        )
    held_out = folder.data / "validation.jsonl"
    if data is not None:
        held_out = _written(spec, data, place)
    elif not held_out.exists():
        raise RunError(
            f"{entry.id} has no held-out rows; name some: tunekit eval {entry.id} --data FILE",
            run_id=entry.id,
        )
    train = folder.data / "train.jsonl"
    made = _planned(entry, spec)
    made["evaluation"] = {**made["evaluation"], "enabled": True, "curve": None}
    if not train.exists():
        made["evaluation"]["overfitting"] = False
    return {
        **made,
        "task": "evaluate",
        "run_id": entry.id,
        "devices": 1,
        "engine": "peft",
        "adapter": str(adapter or folder.adapter),
        "train": str(train if train.exists() else held_out),
        "validation": str(held_out),
    }


def begin(folder: RunFolder) -> Job:
    """Make a folder of its own for measuring, beside the job's."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    found = folder.path / "evaluation" / stamp
    number = 1
    while found.exists():
        number += 1
        found = found.with_name(f"{stamp}-{number}")
    found.mkdir(mode=0o700, parents=True)
    return Job(found)


def _planned(entry: Record, spec: FineTune) -> dict[str, Any]:
    """Give the run's own request, or what this machine would have made of its spec."""
    if entry.plan.backend == "local" and "evaluation" in entry.plan.request:
        return dict(entry.plan.request)
    local: Backend = registry.resolve("local")
    given = entry.data.get("profile")
    profile = Profile.model_validate(given) if given else _unknown(entry)
    held = profile.model_copy(update={"validation_rows": max(1, profile.validation_rows)})
    return local.plan(spec, models.describe(spec.model), held).request


def _unknown(entry: Record) -> Profile:
    """Describe rows of which nothing is known, for a job that was made elsewhere."""
    return Profile(
        source="",
        format="",
        kind="conversation",
        rows=1,
        validation_rows=1,
        validation_policy="",
        tokens=1,
        trained_tokens=1,
        longest=1,
        digest=entry.id,
    )


def _written(spec: FineTune, data: Source, place: Path) -> Path:
    """Read rows as the run would, and write them as the worker reads them."""
    only = FineTune(
        model=spec.model,
        data=Data(source=fspath(data)),
        objective=spec.objective,
        validation=None,
    )
    target = place / "validation.jsonl"
    render.write(prepare(only).train, target)
    return target


def finish(folder: RunFolder, job: Job) -> dict[str, Any]:
    """Run the worker to its end and give what it found.

    Raises:
        RunError: it failed.
        MissingExtra: a training library is not installed.
    """
    start(job, python=None, in_process=False)
    try:
        # The worker holds the lock for as long as it lives.
        with locked(job.lock, timeout=math.inf):
            pass
    except KeyboardInterrupt:
        registry.resolve("local").cancel(JobId(str(job.path)))
        raise
    update = registry.resolve("local").poll(JobId(str(job.path)), None)
    for event in update.events:
        if isinstance(event, EvaluationEvent):
            return event.result
    what = update.reason or "it ended without a result"
    said = f"\n{update.log}" if update.state is JobState.FAILED and update.log else ""
    raise RunError(f"{folder.id}: measuring failed: {what}{said}", run_id=folder.id)
