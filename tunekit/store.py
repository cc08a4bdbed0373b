"""The run folder: what a run is, on disk. `cat`, `cp` and `rm` are the tools."""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tunekit.errors import RunBusy, RunError
from tunekit.events import Event, JobState
from tunekit.files import Locked, locked, write_atomic
from tunekit.home import home
from tunekit.planning.plan import Plan

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Tracking(BaseModel):
    """How far a tracker has been told of a run; never a key."""

    resume: str = ""
    """The tracker's own name of its run, so that another process goes on with it."""
    sent: int = 0
    """Bytes of events.jsonl that it has."""
    step: int = 0
    """The last step among them."""
    ended: bool = False


class Record(BaseModel):
    """`run.json`: the spec as it was set, the plan, and where the job stands."""

    # An unlimited budget is a number too.
    model_config = ConfigDict(extra="ignore", ser_json_inf_nan="strings")

    version: int = 1
    id: str
    name: str | None = None
    created: float
    """Seconds since 1970."""
    spec: dict[str, Any]
    """Only what was set, so that wishes stay apart from defaults."""
    plan: Plan
    backend: dict[str, Any]
    """How to build the backend again: `type` and its options; never a secret."""
    data: dict[str, Any] = {}
    """Rows and hashes of the files under `data/`."""
    versions: dict[str, str] = {}
    submitting: bool = False
    """Set before the job is submitted, cleared when its id is saved."""
    job_id: str | None = None
    state: JobState = JobState.QUEUED
    native: str = ""
    cursor: str | None = None
    events_bytes: int = 0
    """How much of events.jsonl belongs to `cursor`; what lies beyond was cut short by a crash."""
    reason: str = ""
    error: str = ""
    """Name of the error class that tells this failure apart, if there is one."""
    log: str = ""
    ended: float | None = None
    hosted: str = ""
    """The backend's own name of the trained model."""
    used: dict[str, Any] = {}
    """What the backend says it really used."""
    endpoint: str | None = None
    """Where the model is served, while it is."""
    trackers: dict[str, Tracking] = {}
    """Who follows the run, by name."""


class RunFolder:
    """Read and write one run's folder; safe with several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.job = path / "job"
        self.adapter = path / "adapter"
        self._events = path / "events.jsonl"

    @property
    def id(self) -> str:
        """The run's id is the folder's name."""
        return self.path.name

    def read(self) -> Record:
        """Read the record.

        Raises:
            RunError: there is none, or it is damaged.
        """
        try:
            return Record.model_validate_json((self.path / "run.json").read_bytes())
        except FileNotFoundError:
            raise RunError(f"{self.path} holds no run.json", run_id=self.id) from None
        except ValidationError as error:
            raise RunError(
                f"{self.path}/run.json is damaged ({error.error_count()} faults); "
                f"remove the folder to forget the run: rm -r {self.path}",
                run_id=self.id,
            ) from None

    def write(self, record: Record) -> None:
        """Write the record, as a whole or not at all."""
        write_atomic(self.path / "run.json", record.model_dump_json(indent=1) + "\n")

    @contextmanager
    def claim(self) -> Generator[None, None, None]:
        """Be the only process that submits or resumes this run.

        Raises:
            RunBusy: another process is at it.
        """
        path = self.path / ".claim"
        try:
            with locked(path, timeout=0) as file:
                file.truncate()
                file.write(f"process {os.getpid()} on {platform.node()}".encode())
                file.flush()
                yield
        except Locked:
            owner = path.read_text() or "another process"
            raise RunBusy(
                f"{self.id}: {owner} is submitting or resuming this run; "
                f"watch it with `tunekit wait {self.id}`",
                run_id=self.id,
            ) from None

    @contextmanager
    def refreshing(self) -> Generator[Record, None, None]:
        """Hold the record while it is brought up to date; written back at the end."""
        with locked(self.path / ".lock"):
            record = self.read()
            before = record.model_copy()
            yield record
            if record != before:
                self.write(record)

    @contextmanager
    def fetching(self) -> Generator[bool, None, None]:
        """Be the only process that brings the result home; gives False where another one does."""
        try:
            with locked(self.path / ".fetch", timeout=0):
                yield True
        except Locked:
            yield False

    def append(self, record: Record, events: Sequence[Event]) -> None:
        """Add events; a crash before the record is written leaves no doubled lines."""
        if not events:
            return
        lines = "".join(event.model_dump_json() + "\n" for event in events).encode()
        descriptor = os.open(self._events, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(record.events_bytes)
            file.seek(record.events_bytes)
            file.write(lines)
        record.events_bytes += len(lines)

    def events(self, start: int = 0) -> Iterator[tuple[Event, int]]:
        """Read events from a byte offset on, each with the offset behind it."""
        if not self._events.exists():
            return
        with self._events.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                start += len(line)
                yield _EVENT.validate_python(json.loads(line)), start


def make(run_id: str) -> RunFolder:
    """Make the folder of a new run; it is a run once its record is written."""
    path = place(run_id)
    path.mkdir(mode=0o700)
    folder = RunFolder(path)
    folder.data.mkdir(mode=0o700)
    folder.job.mkdir(mode=0o700)
    return folder


def create(record: Record) -> RunFolder:
    """Make the folder of a new run with its record."""
    folder = make(record.id)
    folder.write(record)
    return folder


def place(run_id: str) -> Path:
    """Say where the folder of a run lies, or would lie."""
    return _runs() / run_id


def new_id(name: str | None) -> str:
    """Make an id that sorts by time and says the run's name."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{name or 'run'}-{stamp}-{secrets.token_hex(2)}"


def folders() -> list[RunFolder]:
    """List the runs, newest first."""
    found: list[tuple[float, RunFolder]] = []
    for path in _runs().glob("*/run.json"):
        folder = RunFolder(path.parent)
        try:
            found.append((folder.read().created, folder))
        except RunError as error:
            # One damaged folder must not hide the others.
            warnings.warn(str(error), stacklevel=2)
    return [folder for _, folder in sorted(found, key=lambda pair: pair[0], reverse=True)]


def find(key: str) -> RunFolder:
    """Find a run by id, by a prefix of it, or by its name (the newest of that name).

    Raises:
        RunError: none or several runs match.
    """
    exact = _runs() / key
    if key and "/" not in key and (exact / "run.json").exists():
        return RunFolder(exact)
    found = folders()
    named = [folder for folder in found if folder.read().name == key]
    if named:
        return named[0]
    matches = [folder for folder in found if key and folder.id.startswith(key)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(folder.id for folder in matches[:5])
        raise RunError(f"{key!r} fits several runs: {listed}; give more of the id", run_id=key)
    raise RunError(f"no run {key!r} under {_runs()}; `tunekit runs` lists them", run_id=key)


def _runs() -> Path:
    path = home() / "runs"
    path.mkdir(mode=0o700, exist_ok=True)
    return path
