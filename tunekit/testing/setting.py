"""What a backend says of itself to be tested, and the jobs that the checks look at."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from tunekit import models
from tunekit.backends.backend import Backend, Files, JobId, Update
from tunekit.data import render
from tunekit.data.prepare import prepare
from tunekit.data.profile import Profile
from tunekit.errors import TunekitError
from tunekit.events import JobState
from tunekit.planning.plan import Plan
from tunekit.running.run import Run
from tunekit.running.start import submit
from tunekit.spec.finetune import FineTune
from tunekit.testing.fresh import python
from tunekit.testing.full import combinations, full

_FINISH = """
import sys, tunekit
run = tunekit.get(sys.argv[1]).wait(timeout=float(sys.argv[2]))
print(run.state)
"""


@dataclass
class Watched:
    """One job, and every answer that its backend gave about it."""

    backend: Backend
    spec: FineTune
    plan: Plan
    files: Files
    job_id: JobId
    again: JobId
    """What a second submission under the same key gave."""
    early: BaseException | None
    """What `fetch` raised right after the submission."""
    answers: list[tuple[str | None, Update]]
    """Each poll: the cursor that was given, and the answer."""

    @property
    def last(self) -> Update:
        """The answer that ended it."""
        return self.answers[-1][1]


class Setting:
    """The hooks of a contract class, and what they are used for."""

    refuses: ClassVar[frozenset[str]] = frozenset()
    """Fields that the backend cannot honour, for any method and objective; exactly those."""
    states: ClassVar[Mapping[str, JobState]] = {}
    """The backend's table from its own words to ours."""
    registered: ClassVar[bool] = True
    """Whether the backend is found by its name; else by its import path."""
    failure: ClassVar[str] = ""
    """A piece of the reason that the job of `failing` ends with."""
    gaps: ClassVar[Mapping[str, str]] = {}
    """Checks that the backend is known to fail, with the reason; each must fail."""
    seconds: ClassVar[float] = 300.0
    """How long a job may take."""
    pause: ClassVar[float] = 0.02
    """Seconds between two polls."""

    _room: ClassVar[tempfile.TemporaryDirectory[str]]
    _job: ClassVar[Watched | None] = None
    _run: ClassVar[Run | None] = None
    _learnt: ClassVar[Profile | None] = None

    def make(self) -> Backend:
        """Make the backend as a user would."""
        raise NotImplementedError("a contract class says how to make its backend")

    def spec(self) -> FineTune:
        """Give the least spec that trains to the end, quickly."""
        raise NotImplementedError("a contract class gives the least spec that trains")

    def full_spec(self, method: type[BaseModel], objective: type[BaseModel]) -> FineTune:
        """Give a spec with every field set."""
        return full(self.spec(), method, objective)

    def failing(self) -> tuple[Backend, FineTune]:
        """Give what makes a job that fails."""
        raise NotImplementedError("a contract class says how to make a job fail")

    def endless(self) -> tuple[Backend, FineTune]:
        """Give what makes a job that lasts long enough to be cancelled."""
        return self.make(), self.spec()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, reason in cls.gaps.items():
            setattr(cls, name, _must_fail(getattr(cls, name), reason))

    @classmethod
    def setup_class(cls) -> None:
        """Make a folder for the jobs of this class; pytest and others call it by this name."""
        cls._room = tempfile.TemporaryDirectory(prefix="tunekit-contract-")
        cls._job = cls._run = cls._learnt = None

    @classmethod
    def teardown_class(cls) -> None:
        """Remove it."""
        cls._room.cleanup()

    def finished(self) -> Watched:
        """Give the job of the least spec, run to its end; one for all checks of the class."""
        cls = type(self)
        if cls._job is None:
            cls._job = self.start(self.make(), self.spec())
            self.follow(cls._job)
        return cls._job

    def handed_over(self) -> Run:
        """Give a run that this process began and another one finished; one for the class."""
        cls = type(self)
        if cls._run is None:
            with self.home():
                begun = submit(self.spec(), self.make())
                said = python(_FINISH, begun.id, str(self.seconds), seconds=self.seconds + 60)
                assert said.split()[-1:] == ["succeeded"], said
                cls._run = begun.refresh()
        return cls._run

    def start(self, backend: Backend, spec: FineTune) -> Watched:
        """Submit the spec twice under one key, and ask for a result that cannot be there."""
        prepared = prepare(spec)
        plan = backend.plan(spec, models.describe(spec.model), prepared.profile).require()
        folder = Path(tempfile.mkdtemp(dir=self._room.name))
        files = _files(folder, prepared.train, prepared.validation)
        job_id = backend.submit(plan, files, folder.name)
        early = _error(lambda: backend.fetch(job_id, _empty(folder, "early")))
        again = backend.submit(plan, files, folder.name)
        return Watched(backend, spec, plan, files, job_id, again, early, answers=[])

    def follow(self, job: Watched) -> Update:
        """Poll the job to its end, and twice after it."""
        deadline = time.monotonic() + self.seconds
        cursor = job.last.cursor if job.answers else None
        while not (job.answers and job.last.state.terminal):
            assert time.monotonic() < deadline, f"the job took over {self.seconds:.0f} s"
            job.answers.append((cursor, job.backend.poll(job.job_id, cursor)))
            cursor = job.last.cursor
            time.sleep(self.pause)
        for _ in range(2):
            job.answers.append((cursor, job.backend.poll(job.job_id, cursor)))
        return job.last

    @contextlib.contextmanager
    def home(self) -> Generator[None, None, None]:
        """Keep runs out of the user's home, unless the caller has set one."""
        if "TUNEKIT_HOME" in os.environ:
            yield
            return
        os.environ["TUNEKIT_HOME"] = self._room.name
        try:
            yield
        finally:
            del os.environ["TUNEKIT_HOME"]

    def planned(self, spec: FineTune, backend: Backend | None = None) -> Plan:
        """Plan a spec over the rows of the least one, in the kind that its objective takes."""
        backend = backend or self.make()
        return backend.plan(spec, _described(spec.model), self._profile(spec))

    def full_specs(self) -> Iterator[FineTune]:
        """Give a full spec for each method and objective."""
        for method, objective in combinations():
            yield self.full_spec(method, objective)

    def _profile(self, spec: FineTune) -> Profile:
        cls = type(self)
        profile = cls._learnt = cls._learnt or prepare(self.spec()).profile
        if profile.kind in spec.objective.row_kinds:
            return profile
        kind = min(spec.objective.row_kinds)
        return profile.model_copy(update={"kind": kind, "format": kind})


@functools.cache
def _described(model: str) -> models.Model:
    """Describe a model once: a contract plans hundreds of specs of the same one."""
    return models.describe(model)


def _files(folder: Path, train: Any, validation: Any) -> Files:
    held_out = folder / "validation.jsonl" if validation else None
    job = folder / "job"
    job.mkdir()
    return Files(
        train=folder / "train.jsonl",
        validation=held_out,
        train_sha256=render.write(train, folder / "train.jsonl"),
        validation_sha256=render.write(validation, held_out) if held_out else None,
        job=job,
    )


def _empty(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def _error(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except Exception as error:
        return error
    return None


def raised(call: Callable[[], object]) -> TunekitError:
    """Give the typed error that the call raises; anything else is a failed check."""
    error = _error(call)
    assert isinstance(error, TunekitError), f"expected one of tunekit's errors, got {error!r}"
    return error


def _must_fail(check: Callable[[Any], None], reason: str) -> Callable[[Any], None]:
    @functools.wraps(check)
    def known_gap(self: Any) -> None:
        try:
            check(self)
        except Exception:
            return
        raise AssertionError(f"{check.__name__} passes; take it out of `gaps` ({reason})")

    return known_gap
