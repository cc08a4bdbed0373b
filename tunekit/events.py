"""Job states, and what a run says while it lives."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class JobState(str, Enum):
    """Where a job stands; the last three are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Say whether the job is over."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    def __str__(self) -> str:
        return self.value


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    """Unique within the run; the same event has the same id in every process."""
    time: float = 0.0
    """Seconds since 1970, as the job's machine saw it."""


class StateEvent(_Event):
    """The job changed its state."""

    kind: Literal["state"] = "state"
    state: JobState
    native: str = ""
    """The backend's own word for the state."""
    reason: str = ""


class LogEvent(_Event):
    """A line meant for people."""

    kind: Literal["log"] = "log"
    message: str
    level: Literal["info", "warning", "error"] = "info"


class MetricsEvent(_Event):
    """Numbers at an optimizer step, under TRL's names (`loss`, `eval_loss`, `grad_norm`, ...)."""

    kind: Literal["metrics"] = "metrics"
    step: int
    metrics: dict[str, float]


class CheckpointEvent(_Event):
    """A checkpoint is complete and verified."""

    kind: Literal["checkpoint"] = "checkpoint"
    step: int
    path: str = ""


class EvaluationEvent(_Event):
    """The before-and-after figures are ready."""

    kind: Literal["evaluation"] = "evaluation"
    result: dict[str, Any]


Event = Annotated[
    StateEvent | LogEvent | MetricsEvent | CheckpointEvent | EvaluationEvent,
    Field(discriminator="kind"),
]
