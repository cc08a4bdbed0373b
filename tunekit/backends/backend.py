"""What a backend is: five verbs, and no memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NewType, Protocol, runtime_checkable

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
    """A folder of the run that the backend may fill: a local job, or what was sent and bought."""


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
    hosted: str = ""
    """The backend's own name of the trained model, where it keeps one."""
    used: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the backend says it really used: alpha, rate, epochs, tokens, cost."""


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """A job that was made elsewhere, as far as the backend tells."""

    spec: Mapping[str, Any]
    """Wishes that make a `FineTune`."""
    request: Mapping[str, Any]
    """What the backend got."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How an endpoint stands."""

    state: Literal["starting", "ready", "failed", "gone"]
    model: str
    """The name to call it by."""
    native: str = ""
    """The backend's own word for the state."""


@runtime_checkable
class Backend(Protocol):
    """Plan, submit, poll, cancel, fetch.

    Settings of the account or machine live on the object; settings of the training in the spec.
    A job id is opaque text: any process that holds it can take over.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    poll_seconds: float = 10.0
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

    def recall(self, job_id: JobId) -> Recalled:
        """Say what a job was made with, for a run that is rebuilt from its id."""
        raise UnsupportedError(
            f"{self.name} tells nothing of jobs that were made elsewhere", backend=self.name
        )

    def deploy(self, job_id: JobId, key: str) -> str:
        """Begin to serve the model of a job that has succeeded: at most one endpoint per key.

        Gives the id of the endpoint; `serving` says when it is ready.
        """
        raise UnsupportedError(f"{self.name} serves no models", backend=self.name)

    def serving(self, endpoint: str) -> Serving:
        """Say how an endpoint stands."""
        raise UnsupportedError(f"{self.name} serves no models", backend=self.name)

    def undeploy(self, endpoint: str) -> None:
        """Stop serving; harmless when it is over."""
        raise UnsupportedError(f"{self.name} serves no models", backend=self.name)

    def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, max_new_tokens: int = 128
    ) -> str:
        """Ask a served model, greedily; gives the text of its answer."""
        raise UnsupportedError(f"{self.name} serves no models", backend=self.name)
