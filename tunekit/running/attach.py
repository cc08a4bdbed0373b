"""Make a run of a job that was started elsewhere."""

from __future__ import annotations

import time

from tunekit import store
from tunekit.backends import registry
from tunekit.backends.backend import JobId
from tunekit.errors import RunError
from tunekit.planning.plan import Plan
from tunekit.running.run import Run
from tunekit.spec.finetune import FineTune
from tunekit.store import Record


def attach(job: str, *, name: str | None = None) -> Run:
    """Take up a job by its backend and id, such as `together:ft-12ab`.

    A job that a run here has already is that run.

    Raises:
        RunError: `job` is not of that form.
        RequestRejected: the backend knows no such job.
        UnsupportedError: the backend tells nothing of its jobs.
    """
    kind, _, job_id = job.partition(":")
    if not kind or not job_id:
        raise RunError(f"{job!r} is not BACKEND:JOB, such as together:ft-12ab", run_id=job)
    for folder in store.folders():
        held = folder.read()
        if held.job_id == job_id and held.plan.backend == kind:
            return Run(folder).refresh()
    backend = registry.resolve(kind)
    found = backend.recall(JobId(job_id))
    spec = FineTune(**dict(found.spec))
    plan = Plan(
        backend=kind,
        model=spec.model,
        summary=f"a job made elsewhere: {spec.objective.type} with {spec.method.type}",
        request=dict(found.request),
    )
    folder = store.create(
        Record(
            id=store.new_id(name),
            name=name,
            created=time.time(),
            spec=spec.minimal(),
            plan=plan,
            backend=registry.recipe(backend),
            job_id=job_id,
        )
    )
    return Run(folder).refresh()
