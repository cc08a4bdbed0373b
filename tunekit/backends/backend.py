"""What a backend is: five verbs, and no memory."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NewType, Protocol, runtime_checkable

from tunekit.data.profile import Profile
from tunekit.errors import UnsupportedError
from tunekit.events import Event, JobState
from tunekit.models import Model
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune

JobId = NewType("JobId", str)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Verbs, not fields: what a plan cannot say of a backend."""

    cancel: bool = True
    resume: bool = False
    metrics: bool = True
    download: bool = True


@dataclass(frozen=True, kw_only=True)
class Files:
    """Exactly the bytes to train on, hashed."""

    train: Path
    validation: Path | None
    train_sha256: str
    validation_sha256: str | None
    job: Path
    """A folder of the run that the backend may fill; managed backends leave it empty."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """The state of a job, and what it said since the cursor."""

    state: JobState
    native: str
    """The backend's own word for the state."""
    events: tuple[Event, ...]
    cursor: str
    reason: str = ""
    """Why the job failed, in one paragraph."""
    log: str = ""
    """The last lines of its log, when it failed."""


@runtime_checkable
class Backend(Protocol):
    """Plan, submit, poll, cancel, fetch.

    Settings of the account or machine live on the object; settings of the training in the spec.
    A job id is opaque text: any process that holds it can take over.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    poll_seconds: ClassVar[float] = 10.0
    """How long to wait between two polls of a running job."""

    @abstractmethod
    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        """Translate, purely: no network, no key, no clock, equal twice."""
        ...

    @abstractmethod
    def submit(self, plan: Plan, files: Files, key: str) -> JobId:
        """Start at most one job per key, whatever happens in between."""
        ...

    @abstractmethod
    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        """Read the state and what is new; one cursor always gives the same events."""
        ...

    @abstractmethod
    def cancel(self, job_id: JobId) -> None:
        """Ask the job to stop; harmless when it is over."""
        ...

    @abstractmethod
    def fetch(self, job_id: JobId, into: Path) -> None:
        """Leave a PEFT folder (or a full model) in `into`, which exists and is empty."""
        ...

    def resume(self, job_id: JobId) -> JobId:
        """Take up a job that stopped before its end, from its last good checkpoint."""
        raise UnsupportedError(f"{self.name} cannot resume a job", backend=self.name)
