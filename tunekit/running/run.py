"""`Run`, which has the same verbs on every backend, and the ways to find one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunekit import errors, store
from tunekit.backends import registry
from tunekit.backends.backend import Backend, JobId
from tunekit.events import EvaluationEvent, Event, JobState
from tunekit.planning.plan import Plan
from tunekit.running import reporting, submission
from tunekit.running.endpoint import Endpoint
from tunekit.running.failure import failure
from tunekit.running.patience import Patience
from tunekit.running.refresh import refresh
from tunekit.running.show import still_going
from tunekit.running.stream import EventStream
from tunekit.running.tracking import Trackers
from tunekit.spec.finetune import FineTune
from tunekit.store import RunFolder

if TYPE_CHECKING:
    from tunekit.adapters.adapter import Adapter
    from tunekit.evaluation.compare import Comparison
    from tunekit.running.mitigation import Mitigated


class Run:
    """One fine-tune that was submitted; any process can hold one.

    What it knows is on disk, in `folder`; `refresh` brings it up to date.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._record = folder.read()
        self._patience = Patience(self.id)
        self._trackers = Trackers(folder)

    @property
    def id(self) -> str:
        """The run's id; `tunekit.get(id)` finds it from any process."""
        return self._record.id

    @property
    def name(self) -> str | None:
        """What `output.name` calls it."""
        return self._record.name

    @property
    def state(self) -> JobState:
        """The state at the last refresh."""
        return self._record.state

    @property
    def native(self) -> str:
        """The backend's own word for the state."""
        return self._record.native

    @property
    def spec(self) -> FineTune:
        """The spec, as it was set."""
        return FineTune(**self._record.spec)

    @property
    def plan(self) -> Plan:
        """The plan that was carried out."""
        return self._record.plan

    @property
    def backend(self) -> str:
        """The backend's name."""
        return self._record.plan.backend

    @property
    def job_id(self) -> str | None:
        """The backend's id of the job, once it has one."""
        return self._record.job_id

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def created(self) -> float:
        """Seconds since 1970."""
        return self._record.created

    @property
    def ended(self) -> float | None:
        """Seconds since 1970, or None while it goes on."""
        return self._record.ended

    @property
    def reason(self) -> str:
        """Why it failed."""
        return self._record.reason

    @property
    def hosted(self) -> str:
        """The backend's own name of the trained model; empty where it keeps none."""
        return self._record.hosted

    @property
    def used(self) -> Mapping[str, Any]:
        """What the backend says it really used: alpha, rate, epochs, tokens, cost."""
        return self._record.used

    def refresh(self) -> Run:
        """Poll the backend once, unless the run is over.

        Raises:
            BackendDown: it does not answer; the job goes on.
        """
        self._record = refresh(self._folder)
        if self.state.terminal:
            self._trackers.feed(self._record)
        return self

    def events(self, follow: bool = True) -> EventStream:
        """Iterate (also with `async for`) over all events; with `follow`, until the run is over."""
        return EventStream(
            self._folder,
            refresh=lambda: self._patience.look(self._follow) and self._over(),
            pause=self._backend().poll_seconds if follow else 0,
            follow=follow,
        )

    def wait(
        self, timeout: float | None = None, *, on_event: Callable[[Event], object] | None = None
    ) -> Run:
        """Wait until the run is over, and give it back if it succeeded.

        Raises:
            RunFailed: it failed; Diverged when its loss was not a number.
            RunCancelled: somebody cancelled it.
            RunTimeout: `timeout` seconds have passed; the job goes on.
            KeyboardInterrupt: Ctrl-C; the job goes on, and the text says how to take it up again.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            for event in self._until(deadline):
                if on_event is not None:
                    on_event(event)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(still_going(self.id)) from None
        finally:
            self._trackers.close(self._record)
        return self._ended_well()

    def cancel(self) -> Run:
        """Ask the job to stop; harmless when it is over."""
        if not self.refresh().state.terminal and self._record.job_id is not None:
            self._backend().cancel(JobId(self._record.job_id))
        return self

    def resume(self, *, max_cost: float | None = None) -> Run:
        """Take up a run that stopped before its end, or that was never bought.

        Args:
            max_cost: US dollars that the job may cost, where it is still to be bought.

        Raises:
            RunError: it has succeeded, or is still running.
            UnsupportedError: the backend cannot resume.
        """
        backend = self._backend()
        if self._record.job_id is None:
            _agree(self._folder, max_cost)
            submission.once(self._folder, backend)
            return self.refresh()
        with self._folder.claim():
            self._may_resume()
            job_id = backend.resume(JobId(self._record.job_id))
            with self._folder.refreshing() as entry:
                entry.job_id = job_id
                entry.state = JobState.QUEUED
                entry.reason = entry.error = entry.log = ""
                entry.ended = None
        return self.refresh()

    def deploy(self) -> Endpoint:
        """Begin to serve the model where it was trained; it costs money until `undeploy`.

        Raises:
            RunError: the run has not succeeded.
            UnsupportedError: the backend serves no models.
        """
        if self.refresh().state is not JobState.SUCCEEDED:
            raise errors.RunError(
                f"{self.id} is {self.state}; only a run that has succeeded is served",
                run_id=self.id,
            )
        backend = self._backend()
        with self._folder.claim():
            place = backend.deploy(JobId(self._record.job_id or ""), self.id)
            with self._folder.refreshing() as entry:
                entry.endpoint = place
        self._record = entry
        return Endpoint(backend, place, run_id=self.id)

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the model is served, or None."""
        place = self._record.endpoint
        return Endpoint(self._backend(), place, run_id=self.id) if place else None

    def undeploy(self) -> Run:
        """Stop serving; harmless when nothing is served."""
        if (served := self.endpoint) is not None:
            served.stop()
            with self._folder.refreshing() as entry:
                entry.endpoint = None
            self._record = entry
        return self

    @property
    def adapter(self) -> Adapter:
        """The trained adapter (or model).

        Raises:
            RunError: the run has not succeeded.
        """
        from tunekit.adapters.adapter import Adapter

        if not self._folder.adapter.is_dir():
            raise errors.RunError(
                f"{self.id} is {self.state}: it has no adapter yet; "
                f"`tunekit show {self.id}` says more",
                run_id=self.id,
            )
        return Adapter.open(self._folder.adapter)

    @property
    def evaluation(self) -> Comparison | None:
        """The comparison of base and tuned model, or None when there was none."""
        from tunekit.evaluation.compare import Comparison

        found = None
        for event, _ in self._folder.events():
            if isinstance(event, EvaluationEvent):
                found = Comparison.model_validate(event.result)
        return found

    def report(self, path: str | PathLike[str] | None = None) -> Path:
        """Write the run as one page that needs nothing else, and give its path.

        Without `path` that is `report.html` in the run folder, which is also written at the end of
        the run.
        """
        return reporting.write(self._folder, None if path is None else Path(path).expanduser())

    def evaluate(
        self, data: str | PathLike[str] | None = None, *, endpoint: bool = False
    ) -> Comparison:
        """Measure base and tuned model here, wherever the run was trained, in a process of its own.

        From then on `evaluation` and the report give the result.

        Args:
            data: Rows to measure on in the place of the run's own held-out rows.
            endpoint: Ask the models where they are served instead: answers only, no losses.

        Raises:
            RunError: there is nothing to measure, or measuring failed.
        """
        from tunekit.running import evaluation, served

        self.refresh()
        if endpoint:
            found = served.evaluate(self._folder, self.endpoint)
        else:
            found = evaluation.evaluate(self._folder, data=data)
        reporting.at_end(self._folder)
        return found

    def mitigate(self, keep: float = 0.95) -> Mitigated:
        """Make a weaker adapter that forgets less and keeps so much of the gain, if there is one.

        Raises:
            RunError: the result is not here or has no adapter, or measuring failed.
            AdapterError: the adapter is no LoRA, or a DoRA.
        """
        from tunekit.running.mitigation import mitigate

        self.refresh()
        return mitigate(self._folder, keep=keep)

    def log(self, lines: int = 50) -> str:
        """Give the last lines of the job's log."""
        from tunekit.backends.local.job import Job

        return Job(self._folder.job).tail(lines) or self._record.log

    def __await__(self) -> Generator[Any, None, Run]:
        return asyncio.to_thread(self.wait).__await__()

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.state} on {self.backend}>"

    def __str__(self) -> str:
        from tunekit.running.show import text

        return text(self)

    def __rich__(self) -> Any:
        from tunekit.running.show import panel

        return panel(self)

    def _repr_html_(self) -> str:
        from tunekit.running.show import html

        return html(self)

    def _backend(self) -> Backend:
        return registry.resolve(self._record.backend)

    def _until(self, deadline: float | None) -> Generator[Event, None, None]:
        """Yield events until the run is over, with an eye on the clock."""
        stream = self.events(follow=False)
        pause = self._backend().poll_seconds
        while True:
            yield from stream
            if self.state.terminal or (self.job_id is None and self._abandoned()):
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise errors.RunTimeout(
                    f"{self.id} is still {self.state}; the job goes on: `tunekit wait {self.id}`",
                    run_id=self.id,
                )
            self._patience.look(self._follow)
            if not self.state.terminal:
                time.sleep(pause)

    def _follow(self) -> None:
        """Refresh, and pass on to the trackers what is new."""
        self.refresh()
        self._trackers.feed(self._record)

    def _over(self) -> bool:
        return self.state.terminal or self.job_id is None

    def _abandoned(self) -> bool:
        """Say whether the process that was to submit this run is gone."""
        try:
            with self._folder.claim():
                return self._folder.read().job_id is None
        except errors.RunBusy:
            return False

    def _may_resume(self) -> None:
        if self.refresh().state is JobState.SUCCEEDED:
            raise errors.RunError(
                f"{self.id} has succeeded; there is nothing to resume", run_id=self.id
            )
        if not self.state.terminal:
            raise errors.RunBusy(
                f"{self.id} is {self.state}; watch it with `tunekit wait {self.id}`", run_id=self.id
            )

    def _ended_well(self) -> Run:
        if self.state is JobState.SUCCEEDED:
            return self
        if self.state is JobState.CANCELLED:
            raise errors.RunCancelled(
                f"{self.id} was cancelled; `tunekit resume {self.id}` takes it up again",
                run_id=self.id,
            )
        raise failure(self._record)


def get(run_id: str) -> Run:
    """Find a run by its id, a prefix of it, or its name, from any process.

    Raises:
        RunError: none or several fit.
    """
    return Run(store.find(run_id)).refresh()


def runs() -> list[Run]:
    """List all runs under `$TUNEKIT_HOME`, newest first, as they were last seen."""
    return [Run(folder) for folder in store.folders()]


def _agree(folder: RunFolder, max_cost: float | None) -> None:
    """Keep what may be spent on a run that is still to be bought."""
    if max_cost is not None:
        with folder.refreshing() as entry:
            entry.plan = entry.plan.model_copy(update={"max_cost": max_cost})
