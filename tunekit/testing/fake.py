"""A backend that trains nothing: deterministic, fast, and honest about its life cycle."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from tunekit.backends.backend import Backend, Capabilities, Files, JobId, Update
from tunekit.data.profile import Profile
from tunekit.errors import AdapterError, BackendError, RunBusy
from tunekit.evaluation.compare import Measurement, compare
from tunekit.events import (
    CheckpointEvent,
    EvaluationEvent,
    Event,
    JobState,
    LogEvent,
    MetricsEvent,
    StateEvent,
)
from tunekit.files import locked, write_atomic
from tunekit.models import Model
from tunekit.planning.defaults import resolve
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune
from tunekit.testing.weights import write_adapter, write_model

_MACHINE = Machine(
    device="cpu", devices=1, threads=1, memory_bytes=2**33, bf16=False, reason="made up"
)


class _Job(BaseModel):
    """`fake.json` in the job folder: all that the backend knows, so any process can go on."""

    key: str
    model: str
    method: str
    rank: int | None
    steps: int
    held_out: bool
    outcome: Literal["succeeded", "failed"]
    reason: str
    polls: int = 0
    step: int = 0
    state: JobState = JobState.QUEUED
    cancelled: bool = False
    events: list[Event] = []

    def say(self, *events: Event) -> None:
        """Add events, each with the next id."""
        for event in events:
            marks = {"id": str(len(self.events)), "time": time.time()}
            self.events.append(event.model_copy(update=marks))

    def end(self, state: JobState, reason: str = "") -> None:
        """Come to an end."""
        self.state = state
        self.reason = reason
        self.say(StateEvent(state=state, native=state.value, reason=reason))


@dataclass(frozen=True, kw_only=True)
class FakeBackend(Backend):
    """Accept every spec, count to `steps`, and leave a valid adapter.

    A job takes one step each time it is polled: queued, running, one metrics event a step,
    then `outcome`. The record of the job is a file, so any process can take over.
    """

    name: ClassVar[str] = "fake"
    capabilities: ClassVar[Capabilities] = Capabilities(resume=True)
    poll_seconds: float = dataclasses.field(default=0.01, init=False, repr=False)

    steps: int = 3
    outcome: Literal["succeeded", "failed"] = "succeeded"
    reason: str = "the fake backend was told to fail"
    """Why the job fails, if it does."""
    refuses: tuple[str, ...] = ()
    """Fields of the spec that this backend says it cannot honour."""

    def __post_init__(self) -> None:
        # A list arrives when the settings were JSON.
        object.__setattr__(self, "refuses", tuple(self.refuses))

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        """Take every field as it is, except those it was told to refuse."""
        use = Ledger(spec, resolve(spec, model, data, _MACHINE))
        for field in self.refuses:
            use.refuse(field, "the fake backend was told to refuse it")
        request: dict[str, Any] = {"steps": self.steps, "held_out": data.validation_rows > 0}
        for group in ("model", "method", "objective", "training", "evaluation"):
            request[group] = self._group(use, spec, group)
        for field in ("data", "validation", "output", "extra"):
            use.hold(field)
        return use.close({**request, **spec.extra.get(self.name, {})}, backend=self.name, data=data)

    def submit(self, plan: Plan, files: Files, key: str) -> JobId:
        """Write the job down, unless this key's job is there."""
        job_id = JobId(str(files.job.absolute()))
        with locked(files.job / "fake.lock"):
            if not (files.job / "fake.json").exists():
                self._write(job_id, self._new(plan, key))
        return job_id

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        """Go one step on, and give what is new since the cursor."""
        with self._locked(job_id):
            job = self._read(job_id)
            if not job.state.terminal:
                self._advance(job)
                self._write(job_id, job)
        failed = job.state is JobState.FAILED
        return Update(
            state=job.state,
            native=job.state.value,
            events=tuple(job.events[int(cursor or 0) :]),
            cursor=str(len(job.events)),
            reason=job.reason if failed else "",
            log=f"step {job.step} of {job.steps}\n{job.reason}" if failed else "",
        )

    def cancel(self, job_id: JobId) -> None:
        """Leave the wish; the next poll carries it out."""
        with self._locked(job_id):
            job = self._read(job_id)
            if not job.state.terminal:
                self._write(job_id, job.model_copy(update={"cancelled": True}))

    def fetch(self, job_id: JobId, into: Path) -> None:
        """Leave a tiny adapter, or a tiny model when every weight was to be trained."""
        job = self._read(job_id)
        if job.state is not JobState.SUCCEEDED:
            raise AdapterError(f"job {job_id} is {job.state}; there is nothing to fetch")
        if job.method == "full":
            write_model(into)
        else:
            write_adapter(into, model=job.model, rank=job.rank or 8)

    def resume(self, job_id: JobId) -> JobId:
        """Take a stopped job up again; this time it succeeds."""
        with self._locked(job_id):
            job = self._read(job_id)
            if not job.state.terminal:
                raise RunBusy(f"the job in {job_id} is still running", run_id=job.key)
            fresh = {"cancelled": False, "outcome": "succeeded", "state": JobState.QUEUED}
            self._write(job_id, job.model_copy(update={**fresh, "polls": 0}))
        return job_id

    def _group(self, use: Ledger, spec: FineTune, group: str) -> Any:
        part = getattr(spec, group)
        if not isinstance(part, BaseModel):
            return None if group in self.refuses else use.take(group)
        fields = [f"{group}.{name}" for name in type(part).model_fields]
        kept = [field for field in fields if field not in self.refuses]
        return {field.partition(".")[2]: use.take(field) for field in kept}

    def _new(self, plan: Plan, key: str) -> _Job:
        method = plan.request["method"]
        return _Job(
            key=key,
            model=plan.model,
            method=method.get("type", "lora"),
            rank=method.get("rank"),
            steps=plan.request["steps"],
            held_out=plan.request["held_out"] and plan.request["evaluation"].get("enabled", True),
            outcome=self.outcome,
            reason=self.reason,
        )

    def _advance(self, job: _Job) -> None:
        job.polls += 1
        if job.cancelled:
            job.end(JobState.CANCELLED)
        elif job.polls == 1:
            job.say(LogEvent(message=f"job of {job.key} is waiting"))
        elif job.polls == 2:
            job.state = JobState.RUNNING
            job.say(StateEvent(state=JobState.RUNNING, native="running"))
            job.say(MetricsEvent(step=job.step, metrics={"max_steps": float(job.steps)}))
        elif job.step < job.steps:
            _step(job)
        elif job.outcome == "failed":
            job.end(JobState.FAILED, job.reason)
        else:
            _succeed(job)

    def _locked(self, job_id: JobId) -> Any:
        if not Path(job_id).is_dir():
            raise BackendError(f"there is no job {job_id!r}", backend=self.name)
        return locked(Path(job_id) / "fake.lock")

    def _read(self, job_id: JobId) -> _Job:
        try:
            text = (Path(job_id) / "fake.json").read_bytes()
        except OSError:
            raise BackendError(f"there is no job {job_id!r}", backend=self.name) from None
        return _Job.model_validate(json.loads(text))

    def _write(self, job_id: JobId, job: _Job) -> None:
        write_atomic(Path(job_id) / "fake.json", job.model_dump_json(indent=1) + "\n")


def _step(job: _Job) -> None:
    job.step += 1
    share = job.step / job.steps
    numbers = {
        "loss": 2.0 - share,
        "learning_rate": 1e-4 * (1 - share),
        "grad_norm": 1.0,
        "num_tokens": 100.0 * job.step,
        "tokens_per_second": 1000.0,
    }
    job.say(MetricsEvent(step=job.step, metrics=numbers))


def _succeed(job: _Job) -> None:
    job.say(CheckpointEvent(step=job.step))
    if job.held_out:
        before, after = (
            Measurement(
                loss=loss, perplexity=2.718281828459045**loss, tokens=100, answers=(answer,)
            )
            for loss, answer in ((2.0, "a guess"), (1.0, "the answer"))
        )
        made = compare(before, after, prompts=["a question"], references=["the answer"])
        job.say(EvaluationEvent(result=made.model_dump(mode="json")))
    job.end(JobState.SUCCEEDED)
