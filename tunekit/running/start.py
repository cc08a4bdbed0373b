"""Plan, submit, run: from a spec to a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunekit import models
from tunekit.backends import registry
from tunekit.backends.backend import Backend
from tunekit.data.dropped import words
from tunekit.data.issues import Issue, require
from tunekit.data.prepare import Prepared, prepare
from tunekit.events import Event
from tunekit.planning.plan import Plan
from tunekit.planning.steps import few_steps
from tunekit.running import submission, warm_start
from tunekit.running.run import Run
from tunekit.spec.finetune import FineTune
from tunekit.trackers import registry as registry_of_trackers

AnyBackend = str | Mapping[str, Any] | Backend


def plan(spec: FineTune, backend: AnyBackend = "local") -> Plan:
    """Translate a spec for a backend, without starting anything.

    Raises:
        SpecError: spec or data are wrong on every backend.
    """
    chosen, _, made = planned(spec, backend)
    del chosen
    return made


def submit(
    spec: FineTune,
    backend: AnyBackend = "local",
    *,
    strict: bool = True,
    max_cost: float | None = None,
    trackers: Sequence[str] = (),
) -> Run:
    """Start a fine-tune and return at once; the job is started exactly once.

    With `strict=False`, settings that the backend cannot honour are warned about, not refused.
    `max_cost` is what a service may charge, in US dollars; infinity agrees to anything.
    `trackers` (`tensorboard`, `wandb`, `mlflow`, `trackio`) get the figures from whoever waits.

    Raises:
        SpecError: spec or data are wrong on every backend.
        UnsupportedError: the backend cannot honour what the spec sets.
        CostNotAccepted: the service's estimate is over `max_cost`, or nobody agreed to it.
        MissingExtra: the package of a tracker is not installed.
        SubmissionUnknown: the job may have been started; `resume` of the run finds out.
    """
    registry_of_trackers.require(trackers)
    chosen, prepared, made = planned(spec, backend)
    made.require(strict=strict)
    if max_cost is not None:
        made = made.model_copy(update={"max_cost": max_cost})
    folder = submission.record(spec, made, chosen, prepared, trackers=trackers)
    submission.once(folder, chosen)
    return Run(folder)


def run(
    spec: FineTune,
    backend: AnyBackend = "local",
    *,
    strict: bool = True,
    max_cost: float | None = None,
    trackers: Sequence[str] = (),
    progress: bool | None = None,
    on_event: Callable[[Event], object] | None = None,
    timeout: float | None = None,
) -> Run:
    """Start a fine-tune, show its progress, and return when it has succeeded.

    `progress=None` draws a bar in a terminal and prints lines elsewhere; False is silent.
    `max_cost` is what a service may charge, in US dollars. `trackers` as in `submit`.

    Raises:
        SpecError: spec or data are wrong on every backend.
        UnsupportedError: the backend cannot honour what the spec sets.
        CostNotAccepted: the service's estimate is over `max_cost`, or nobody agreed to it.
        RunFailed: the job failed. RunTimeout: `timeout` seconds have passed; the job goes on.
    """
    from tunekit.running.progress import Progress

    started = submit(spec, backend, strict=strict, max_cost=max_cost, trackers=trackers)
    with Progress(started, enabled=progress) as show:

        def both(event: Event) -> None:
            show(event)
            if on_event is not None:
                on_event(event)

        return started.wait(timeout, on_event=both)


async def asubmit(
    spec: FineTune,
    backend: AnyBackend = "local",
    *,
    strict: bool = True,
    max_cost: float | None = None,
    trackers: Sequence[str] = (),
) -> Run:
    """Do `submit` without blocking the event loop."""
    return await asyncio.to_thread(
        submit, spec, backend, strict=strict, max_cost=max_cost, trackers=trackers
    )


async def arun(
    spec: FineTune,
    backend: AnyBackend = "local",
    *,
    strict: bool = True,
    max_cost: float | None = None,
    trackers: Sequence[str] = (),
    on_event: Callable[[Event], object] | None = None,
) -> Run:
    """Do `run` without blocking the event loop; cancelling the task leaves the job going."""
    started = await asubmit(spec, backend, strict=strict, max_cost=max_cost, trackers=trackers)
    async for event in started.events():
        if on_event is not None:
            on_event(event)
    return started.wait()


def planned(spec: FineTune, backend: AnyBackend) -> tuple[Backend, Prepared, Plan]:
    """Give the backend, the rows and the plan of a spec; nothing is started."""
    chosen = registry.resolve(backend)
    model = models.describe(spec.model)
    prepared = prepare(spec)
    begun, onward = warm_start.resolved(spec, chosen.name)
    made = chosen.plan(begun, model, prepared.profile)
    few = list(few_steps(spec, prepared.profile, made))
    require(few)
    found = (*prepared.profile.issues, *few)
    odd = (_oddity(i) for i in found if i.severity == "warning")
    left_out = words(prepared.profile.dropped)
    told = (*((left_out,) if left_out else ()), *odd, *made.warnings)
    changes = (*onward, *made.changes)
    return chosen, prepared, made.model_copy(update={"warnings": told, "changes": changes})


def _oddity(issue: Issue) -> str:
    """Write a warning about the data on one line; it shows in the plan, whatever the backend."""
    place = f"{issue.file}:{issue.line}" if issue.line else issue.file
    return f"{place}: {issue.message} ({issue.code}); {issue.fix}"
