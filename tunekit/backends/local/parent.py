"""The parent's side of a local job: plan it, start it, watch its folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter

from tunekit.backends.backend import Backend, Capabilities, Files, JobId, Update
from tunekit.backends.local.alike import require_alike
from tunekit.backends.local.engine import choose_engine
from tunekit.backends.local.job import Job
from tunekit.backends.local.kernels import Kernels
from tunekit.backends.local.process import start, start_many
from tunekit.backends.local.request import build
from tunekit.backends.local.warm_start.kept import keep
from tunekit.data.profile import Profile
from tunekit.errors import AdapterError, BackendError, RunBusy, SpecError
from tunekit.evaluation import rewards
from tunekit.events import Event, JobState
from tunekit.files import Locked
from tunekit.models import Model
from tunekit.planning.machine import Machine, detect
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass(frozen=True, kw_only=True)
class Local(Backend):
    """Train on this machine.

    Raises:
        SpecError: an option is wrong.
    """

    name: ClassVar[str] = "local"
    capabilities: ClassVar[Capabilities] = Capabilities(resume=True)
    poll_seconds: float = field(default=0.2, init=False, repr=False)

    engine: Literal["auto", "peft", "unsloth"] = "auto"
    """Who trains: TRL and PEFT, or Unsloth. "auto": Unsloth on CUDA where it is installed."""
    kernels: Kernels = "auto"
    """Who computes losses and gradients: our passes ("fast") or those of transformers and PEFT
    ("reference"). "auto": ours where they know the model, the method and the objective."""
    python: str | None = None
    """Interpreter of the worker. Unsloth needs one of its own: it pins older TRL and datasets."""
    devices: int | None = None
    """Processes to train with, one per device. None: one, or every visible GPU."""
    in_process: bool = False
    """Train inside the calling process, for a debugger; the call returns at the end."""
    machine: Machine = field(default_factory=detect, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.engine not in ("auto", "peft", "unsloth"):
            raise SpecError(f"backend.engine: unknown engine {self.engine!r}; known: peft, unsloth")
        if self.kernels not in ("auto", "fast", "reference"):
            raise SpecError(
                f"backend.kernels: unknown kernels {self.kernels!r}; known: auto, fast, reference"
            )
        if self.devices is not None and self.devices < 1:
            raise SpecError(f"backend.devices: must be at least 1, not {self.devices}")
        if self.python is not None and shutil.which(self.python) is None:
            raise SpecError(f"backend.python: {self.python!r} is not an interpreter")
        if self.in_process and (self.python or (self.devices or 1) > 1):
            raise SpecError(
                "backend.in_process: trains in this process, so it takes no python= and one device"
            )

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        """Translate into the keyword arguments of TRL and PEFT, as JSON."""
        engine = choose_engine(self.engine, self.python, self.machine)
        return build(
            spec,
            model,
            data,
            machine=self.machine,
            engine=engine,
            kernels=self.kernels,
            devices=self.devices,
        )

    def submit(self, plan: Plan, files: Files, key: str) -> JobId:
        """Start the worker, unless this key's worker was started before."""
        job = Job(files.job)
        job_id = JobId(str(files.job.absolute()))
        if job.read("request") is not None:
            return job_id
        self._ask(job, plan, files, key)
        try:
            start(job, python=self.python, in_process=self.in_process)
        except BaseException:
            (job.path / "request.json").unlink()
            raise
        return job_id

    def submit_many(
        self, plans: Sequence[Plan], files: Sequence[Files], keys: Sequence[str]
    ) -> list[JobId]:
        """Start one worker for several plans over one base, unless theirs was started before.

        Raises:
            UnsupportedError: they cannot be carried out together.
        """
        require_alike(plans)
        jobs = [Job(each.job) for each in files]
        found = [JobId(str(each.job.absolute())) for each in files]
        if all(job.read("request") is not None for job in jobs):
            return found
        for job, plan, each, key in zip(jobs, plans, files, keys, strict=True):
            self._ask(job, plan, each, key)
        try:
            start_many(jobs, python=self.python, in_process=self.in_process)
        except BaseException:
            for job in jobs:
                (job.path / "request.json").unlink()
            raise
        return found

    def _ask(self, job: Job, plan: Plan, files: Files, key: str) -> None:
        """Write what the worker is to do."""
        job.write(
            "request",
            {
                **plan.request,
                **_rewards(plan, anywhere=self.python is not None),
                **_start(plan, job),
                "run_id": key,
                "train": str(files.train.absolute()),
                "validation": str(files.validation.absolute()) if files.validation else None,
            },
        )

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        """Look at the lock first, then read what the worker wrote."""
        job = self._job(job_id)
        alive = job.alive
        events, position = _events(job, int(cursor or 0))
        result = job.read("result")
        if result is not None:
            state = JobState(result["state"])
            reason = result.get("reason", "")
        elif alive:
            state, reason = (JobState.RUNNING if job.read("worker") else JobState.QUEUED), ""
        else:
            state, reason = _died(job)
        failed = state is JobState.FAILED
        return Update(
            state=state,
            native=(result or {}).get("error", "") or str(state),
            events=events,
            cursor=str(position),
            reason=reason,
            log=job.tail() if failed else "",
        )

    def cancel(self, job_id: JobId) -> None:
        """Leave a mark and wake the worker; it stops after the step at hand."""
        job = self._job(job_id)
        if job.read("result") is not None:
            return
        job.ask_to_stop()
        worker = job.read("worker")
        # A worker of several jobs looks for the mark after each step.
        if job.alive and worker is not None and not worker.get("shared"):
            try:
                os.kill(worker["pid"], signal.SIGTERM)
            except ProcessLookupError:
                return

    def fetch(self, job_id: JobId, into: Path) -> None:
        """Copy the weights, as hard links where the file system allows it."""
        job = self._job(job_id)
        if not job.adapter.is_dir():
            raise AdapterError(
                f"{job.path} holds no trained weights; the job has not succeeded (see {job.log})"
            )
        shutil.copytree(job.adapter, into, copy_function=_link, dirs_exist_ok=True)

    def resume(self, job_id: JobId) -> JobId:
        """Start a new worker on the same folder, from its newest good checkpoint."""
        job = self._job(job_id)
        job.reopen()
        try:
            start(job, python=self.python, in_process=self.in_process)
        except Locked:
            raise RunBusy(f"the job in {job.path} is still running") from None
        return job_id

    def _job(self, job_id: JobId) -> Job:
        job = Job(Path(job_id))
        if not job.path.is_dir():
            raise BackendError(
                f"the job folder {job_id} is gone; the run cannot be followed any more",
                backend=self.name,
            )
        return job


def unsloth(**options: object) -> Local:
    """Make the local backend with Unsloth as its engine: `backend="unsloth"`."""
    return Local(engine="unsloth", **options)  # type: ignore[arg-type]


def _events(job: Job, start: int) -> tuple[tuple[Event, ...], int]:
    """Read whole lines from a byte offset on; an event's id is the offset of its line."""
    found: list[Event] = []
    if not job.events.exists():
        return (), start
    with job.events.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                break
            event = _EVENT.validate_python(json.loads(line))
            found.append(event.model_copy(update={"id": str(start)}))
            start += len(line)
    return tuple(found), start


def _died(job: Job) -> tuple[JobState, str]:
    """Judge a worker that is gone and left no result."""
    if job.cancelled:
        return JobState.CANCELLED, ""
    ended = job.read("exit")
    code = ended["code"] if ended else None
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        reason = f"the worker was killed by {name}"
        if code == -signal.SIGKILL:
            reason += ", as the system does when memory runs out"
    elif "MemoryError" in job.tail() or "bad_alloc" in job.tail():
        reason = "the worker ran out of memory"
    else:
        reason = "the worker ended without a result" + (f" (exit {code})" if code else "")
    return JobState.FAILED, reason


def _rewards(plan: Plan, *, anywhere: bool) -> dict[str, Any]:
    """Give reward functions so that a worker finds them that starts from elsewhere.

    Raises:
        SpecError: one is not there; another interpreter may have modules of its own.
    """
    names = list(plan.request.get("rewards") or ())
    if not names:
        return {}
    rewards.require_there(names, modules=not anywhere)
    ours = (Path(sys.prefix), Path(sys.base_prefix))
    paths = [Path(path or ".").absolute() for path in sys.path]
    return {
        "rewards": [rewards.absolute(name) for name in names],
        "paths": [str(path) for path in paths if not {*ours} & {path, *path.parents}],
    }


def _start(plan: Plan, job: Job) -> dict[str, Any]:
    """Copy the adapter that training goes on from.

    Raises:
        SpecError: it is not the one that the plan was made with.
    """
    start = plan.request.get("start")
    return {"start": keep(start, job.start)} if start else {}


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
