"""A fine-tuning job at Together: its states, its events, what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from tunekit.testing.providers.together_curve import Curve, Metrics

Outcome = Literal["completed", "error", "user_error"]

NEXT: Mapping[str, str] = {
    "pending": "queued",
    "queued": "running",
    "running": "compressing",
    "compressing": "uploading",
    "uploading": "completed",
    "cancel_requested": "cancelled",
}
OVER = ("completed", "error", "user_error", "cancelled")

_NANODOLLARS = 1_000_000_000
_START = (
    ("job_start", "Job started"),
    ("model_downloading", "Downloading model"),
    ("model_download_complete", "Model downloaded"),
    ("training_data_downloading", "Downloading training data"),
    ("training_data_download_complete", "Training data downloaded"),
)
_VALIDATION = (
    ("validation_data_downloading", "Downloading validation data"),
    ("validation_data_download_complete", "Validation data downloaded"),
)
_ENTERED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "pending": (("job_pending", "Job created"),),
    "compressing": (
        ("training_complete", "Training completed"),
        ("model_compressing", "Compressing model"),
    ),
    "uploading": (
        ("model_compression_complete", "Model compressed"),
        ("model_uploading", "Uploading model"),
    ),
    "completed": (("model_upload_complete", "Model uploaded"), ("job_complete", "Job completed")),
    "cancel_requested": (("cancel_requested", "Cancellation requested"),),
    "cancelled": (("job_stopped", "Job stopped"),),
    "error": (("job_error", "Job failed: a node of the cluster was lost"),),
    "user_error": (("job_error", "Job failed: the training data has no trainable tokens"),),
}

_ECHOED = (
    *("training_file", "n_epochs", "n_checkpoints", "n_evals", "learning_rate", "lr_scheduler"),
    *("warmup_ratio", "max_grad_norm", "weight_decay", "training_method"),
    *("from_checkpoint", "from_hf_model", "hf_model_revision"),
)
_TRUNCATED = (
    *("suffix", "packing", "random_seed", "max_seq_length"),
    *("wandb_name", "wandb_entity", "wandb_project_name"),
)
"""What create, list and cancel say of the request, and retrieve does not."""


def now() -> str:
    """Give the time as Together writes it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Job:
    """One job, from the request that bought it."""

    id: str
    request: Mapping[str, Any]
    """The body of the create call, as it came."""
    model: str
    lora: Mapping[str, Any] | None
    """The LoRA part of the request as the service completed it; None for full training."""
    curve: Curve
    tokens: int
    price: float
    """Dollars."""
    outcome: Outcome = "completed"
    state: str = "pending"
    held: bool = False
    """Whether the state was set by a test, and stays."""
    hidden: int = 0
    """How many list calls more it does not appear in."""
    deleted: bool = False
    steps_done: int = 0
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _looks: int = 0

    def __post_init__(self) -> None:
        self._tell(*_ENTERED["pending"])

    @property
    def suffix(self) -> str:
        """The client's mark; empty if it gave none."""
        return str(self.request.get("suffix", ""))

    @property
    def output_name(self) -> str:
        """The name of the model it makes."""
        base = self.model.rpartition("/")[2]
        mark = f"-{self.suffix}" if self.suffix else ""
        return f"acme/{base}{mark}-{self.id.rpartition('-')[2][:8]}"

    def object_id(self, kind: str) -> str:
        """The registry's id of its `model` or `adapter`."""
        return f"ml_{self.id.rpartition('-')[2]}{kind[0]}"

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in OVER

    def look(self, ticks: int) -> None:
        """Go on by one look: every `ticks` looks one state further; with 0 to the end."""
        if self.held or self.over:
            return
        self._looks += 1
        while ticks == 0 and not self.over:
            self.enter(self._next())
        if ticks and self._looks % ticks == 0:
            self.enter(self._next())
        if self.state == "running":
            share = (self._looks % ticks + 1) / (ticks + 1)
            self._train(math.ceil(share * self.curve.steps))

    def enter(self, state: str) -> None:
        """Come into a state, with the events that belong to it; unknown words have none."""
        if state == "running":
            self._begin()
        elif state in ("compressing", "completed"):
            self._train(self.curve.steps)
        elif state in ("error", "user_error"):
            self._train(self.curve.steps // 2)
        self.state = state
        self.updated = now()
        self._tell(*_ENTERED.get(state, ()))

    def metrics(self) -> list[Metrics]:
        """Give what was logged so far."""
        return list(self.curve.metrics(self.steps_done))

    def checkpoints(self) -> list[dict[str, Any]]:
        """Give what was saved so far; the final ones once the job is completed."""
        final = self.state == "completed"
        last = self.curve.steps
        saved = [step for step in self.curve.checkpoints if step <= self.steps_done]
        kinds = ("adapter",) if self.lora else ("model",)
        told = [self._checkpoint("Intermediate", kind, step) for step in saved for kind in kinds]
        told = [each for each in told if each["step"] != last]
        if final:
            both = ("model", "adapter") if self.lora else ("model",)
            told += [self._checkpoint("Final", kind, last) for kind in both]
        return told

    def truncated(self) -> dict[str, Any]:
        """Say what create, list and cancel say."""
        return {**self._common(), **self._echo(_TRUNCATED)}

    def full(self) -> dict[str, Any]:
        """Say what retrieve says."""
        told = {**self._common(), "epochs_completed": self.steps_done // self.curve.per_epoch}
        told["trainingfile_numlines"] = self.curve.rows
        if self.state == "completed":
            told |= self._objects()
        return told

    @property
    def total_price(self) -> int:
        """What is to be paid, in billionths of a dollar: of a cancelled job the steps done."""
        share = self.steps_done / self.curve.steps
        paid = {"completed": 1.0, "cancelled": share}.get(self.state, 0.0)
        return round(self.price * _NANODOLLARS * paid)

    def _next(self) -> str:
        if self.state == "running" and self.outcome != "completed":
            return self.outcome
        return NEXT.get(self.state, "completed")

    def _begin(self) -> None:
        self._tell(*_START)
        if self.request.get("validation_file"):
            self._tell(*_VALIDATION)
        if self.request.get("wandb_key"):
            self._tell(("wandb_init", "W&B initialised"))
        self._tell(("training_start", "Training started"))

    def _train(self, done: int) -> None:
        for step in range(self.steps_done + 1, done + 1):
            self.steps_done = step
            if step % self.curve.per_epoch == 0:
                epoch = step // self.curve.per_epoch
                self._tell(("epoch_complete", f"Epoch {epoch} completed"))
            if step in self.curve.checkpoints:
                self._tell(("checkpoint_save", f"Checkpoint saved at step {step}"))

    def _tell(self, *told: tuple[str, str]) -> None:
        for kind, message in told:
            path = f"s3://acme/{self.id}/{self.steps_done}" if kind == "checkpoint_save" else ""
            event = {
                "object": "fine-tune-event",
                "created_at": now(),
                "level": "error" if kind == "job_error" else "info",
                "type": kind,
                "message": message,
                "step": self.steps_done,
                "total_steps": self.curve.steps,
                "token_count": self.tokens,
                "param_count": 0,
                "wandb_url": "",
                "checkpoint_path": path,
                "model_path": "",
                "training_offset": 0,
                "hash": "",
            }
            self.events.append(event)

    def _common(self) -> dict[str, Any]:
        running = self.state == "running"
        left = self.curve.steps - self.steps_done
        return {
            "id": self.id,
            "status": self.state,
            "user_id": "user-1",
            "created_at": self.created,
            "updated_at": self.updated,
            "model": self.model,
            "model_output_name": self.output_name,
            "validation_file": self.request.get("validation_file", ""),
            **self._echo(_ECHOED),
            "batch_size": self.curve.batch_size,
            "training_type": self.lora or {"type": "Full"},
            "events": [],
            "token_count": self.tokens if self.state == "completed" else 0,
            "total_price": self.total_price,
            "queue_depth": 1 if self.state == "queued" else 0,
            "progress": {"estimate_available": running, "seconds_remaining": left * running},
        }

    def _echo(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.request[name] for name in names if name in self.request}

    def _objects(self) -> dict[str, Any]:
        told = self._object("model", "model_object")
        if self.lora:
            told |= self._object("adapter", "adapter_object")
        return told

    def _object(self, kind: str, prefix: str) -> dict[str, str]:
        tail = "-adapter" if kind == "adapter" else ""
        return {
            f"{prefix}_id": self.object_id(kind),
            f"{prefix}_name": f"{self.output_name}{tail}",
            f"{prefix}_revision_id": self.object_id(kind).replace("ml_", "rv_"),
        }

    def _checkpoint(self, label: str, kind: str, step: int) -> dict[str, Any]:
        what = {"adapter": "Adapter", "model": "Merged" if self.lora else "Model"}[kind]
        return {
            "checkpoint_type": f"{label} {what}",
            "created_at": self.updated,
            "path": f"s3://acme/{self.id}/{kind}/{step}",
            "step": step,
            "checkpoint": kind,
            **(self._object(kind, "object") if label == "Final" else {}),
        }
