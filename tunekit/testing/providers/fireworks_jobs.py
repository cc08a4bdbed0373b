"""Jobs: bought under an id of the client's choice, led from state to state by being looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tunekit.testing.providers.fireworks_metrics import Training, lines
from tunekit.testing.providers.fireworks_place import TIME

JobKind = Literal["supervisedFineTuningJobs", "dpoJobs"]
Outcome = Literal["COMPLETED", "FAILED", "EARLY_STOPPED", "EXPIRED"]

PREFIX = "JOB_STATE_"
_KNOWN = (
    "UNSPECIFIED CREATING PENDING CREATING_INPUT_DATASET VALIDATING RUNNING WRITING_RESULTS "
    "RE_QUEUEING IDLE PAUSED CANCELLING COMPLETED EARLY_STOPPED FAILED CANCELLED EXPIRED "
    "DELETING DELETING_CLEANING_UP"
)
STATES = frozenset(_KNOWN.split())
"""The states that the SDK knows, without their prefix."""

LATER_STATES = frozenset({"DELETED", "ARCHIVED"})
"""States of the REST documents that the SDK does not know."""

SUCCEEDED = frozenset({"COMPLETED", "EARLY_STOPPED"})
OVER = SUCCEEDED | {"FAILED", "CANCELLED", "EXPIRED"}

_START = ("CREATING", "PENDING", "VALIDATING")
_PATHS: Mapping[str, tuple[str, ...]] = {
    "COMPLETED": (*_START, "RUNNING", "WRITING_RESULTS", "COMPLETED"),
    "EARLY_STOPPED": (*_START, "RUNNING", "WRITING_RESULTS", "EARLY_STOPPED"),
    "FAILED": (*_START, "RUNNING", "FAILED"),
    "EXPIRED": ("CREATING", "PENDING", "EXPIRED"),
    "UNUSABLE": (*_START, "FAILED"),
}
_DEFAULT_BATCH: Mapping[JobKind, int] = {"supervisedFineTuningJobs": 32, "dpoJobs": 4}
_DEFAULT_RANK = 8


@dataclass
class Job:
    """A job as the server keeps it."""

    kind: JobKind
    id: str
    name: str
    body: Mapping[str, Any]
    """The create request as it came, secrets included."""
    rows: int
    path: tuple[str, ...]
    ticks: int
    gets: int = 0
    pinned: str | int | None = None
    status: Mapping[str, str] = field(default_factory=lambda: {"code": "OK", "message": ""})
    """What `status` says once the job has failed."""
    deleted: bool = False
    resumed: int = 0
    hidden: int = 0
    """Lists that do not show it yet."""

    @property
    def state(self) -> str | int:
        """The state on the wire."""
        return self.pinned if self.pinned is not None else PREFIX + self.path[self._index]

    @property
    def word(self) -> str:
        """The state without its prefix."""
        return str(self.state).removeprefix(PREFIX)

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of the training: on top for supervised jobs, inside for others."""
        return self.body if self.kind == "supervisedFineTuningJobs" else self.body["trainingConfig"]

    @property
    def rank(self) -> int:
        """The LoRA rank; 0 trains all weights."""
        return int(self.config.get("loraRank", _DEFAULT_RANK))

    @property
    def output(self) -> str:
        """The full name of the model it makes."""
        account = self.name.split("/")[1]
        given = str(self.config.get("outputModel") or self.id)
        return given if "/" in given else f"accounts/{account}/models/{given}"

    @property
    def training(self) -> Training:
        """How long it trains, and how."""
        config = self.config
        return Training(
            self.rows,
            config.get("batchSizeSamples") or _DEFAULT_BATCH[self.kind],
            config.get("epochs", 1),
            config.get("learningRate", 1e-4),
            config.get("learningRateWarmupSteps", 0),
            config.get("lrScheduler", {}),
            bool(self.body.get("evaluationDataset") or self.body.get("evalAutoCarveout")),
        )

    @property
    def percent(self) -> int:
        """How much of the training is done."""
        if self.word in SUCCEEDED | {"WRITING_RESULTS"}:
            return 100
        if self.word != "RUNNING":
            return 0
        within = self.gets % self.ticks if self.ticks else 0
        return 100 * (within + 1) // (self.ticks + 1)

    @property
    def steps_done(self) -> int:
        """Optimizer steps so far."""
        return self.training.steps * self.percent // 100

    @property
    def checkpoints(self) -> list[str]:
        """Ids of the adapters that can be promoted so far."""
        every = self.config.get("samplerCheckpointSaveIntervalSteps", 0)
        steps = list(range(every, self.steps_done + 1, every)) if every else []
        if self.word in SUCCEEDED and self.training.steps not in steps:
            steps.append(self.training.steps)
        return [f"step-{step}" for step in steps]

    @property
    def _index(self) -> int:
        last = len(self.path) - 1
        if not self.ticks:
            return last if self.gets else 0
        return min(self.gets // self.ticks, last)

    def look(self) -> None:
        """Let time pass, as a GET does."""
        self.gets += 1

    def begin(self, path: tuple[str, ...]) -> None:
        """Go another way from here."""
        self.path, self.gets, self.pinned = path, 0, None

    def metrics(self, *, nested: bool) -> bytes:
        """The metrics file so far."""
        return lines(self.training, steps=self.steps_done, nested=nested)

    def view(self, *, secrets: bool) -> dict[str, Any]:
        """Describe it as the service does, without what only a supervised job has."""
        body = dict(self.body)
        if "wandbConfig" in body and not secrets:
            shown = {name: value for name, value in body["wandbConfig"].items() if name != "apiKey"}
            body["wandbConfig"] = shown
        failed = self.word in ("FAILED", "EXPIRED")
        seen: dict[str, Any] = {
            "displayName": "",
            **body,
            "name": self.name,
            "createTime": TIME,
            "createdBy": "me@example.com",
            "state": self.state,
            "status": dict(self.status) if failed else {"code": "OK", "message": ""},
        }
        if self.word in OVER:
            seen["completedTime"] = TIME
        return seen


def path_to(outcome: str) -> tuple[str, ...]:
    """Give the states on the way to an outcome; `UNUSABLE` fails while the rows are read."""
    return _PATHS[outcome]


def on_the_wire(state: str) -> str:
    """Give a known state its prefix; leave any other text as it is."""
    return PREFIX + state if state in STATES | LATER_STATES else state


def new_job(
    kind: JobKind, name: str, body: Mapping[str, Any], *, rows: int, ticks: int, path: str
) -> Job:
    """Begin a job that goes the way to an outcome."""
    return Job(kind, name.rpartition("/")[2], name, body, rows, path_to(path), ticks)
