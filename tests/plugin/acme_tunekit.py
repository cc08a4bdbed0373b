"""Acme, a service that trains LoRA adapters, cannot be stopped, and gives no figures.

It keeps its jobs in a folder; each look at a job brings it one state further.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunekit.backends.backend import Backend, Capabilities, Files, JobId, Update
from tunekit.data.profile import Profile
from tunekit.errors import BackendError, RequestRejected, UnsupportedError
from tunekit.events import JobState, StateEvent
from tunekit.models import Model
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune
from tunekit.testing.weights import write_adapter

STATES = {
    "RECEIVED": JobState.QUEUED,
    "WORKING": JobState.RUNNING,
    "DONE": JobState.SUCCEEDED,
    "BROKEN": JobState.FAILED,
}
PATH = ("RECEIVED", "RECEIVED", "WORKING", "WORKING")

TAKEN = {
    "base_model": "model",
    "objective": "objective.type",
    "beta": "objective.beta",
    "rank": "method.rank",
    "alpha": "method.alpha",
    "passes": "training.epochs",
    "batch": "training.batch_size",
    "peak_rate": "training.learning_rate",
    "window": "training.max_length",
}
REFUSED = (
    # Whatever is left of these, when what Acme knows has been taken.
    *("method", "objective"),
    *("training.max_steps", "training.scheduler", "training.packing", "training.weight_decay"),
    *("training.max_grad_norm", "training.seed", "training.early_stopping", "training.replay"),
)
DROPPED = ("training.dtype", "training.gradient_checkpointing", "training.checkpoint_steps")


@dataclass(frozen=True, kw_only=True)
class Acme(Backend):
    """Train at Acme."""

    name: ClassVar[str] = "acme"
    capabilities: ClassVar[Capabilities] = Capabilities(cancel=False, metrics=False)
    poll_seconds: float = dataclasses.field(default=0.01, init=False, repr=False)

    power_cut: bool = False
    """Let every job break."""

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        """Write Acme's order form."""
        use = Ledger(spec)
        order = {name: _own(use, field) for name, field in TAKEN.items() if _has(spec, field)}
        # Acme counts the first steps; a step is a batch.
        share = use.value("training.warmup_ratio")
        order["warm_up"] = use.adapt(
            "training.warmup_ratio",
            0 if share == "auto" else round(share * data.rows / 8),
            "Acme counts steps",
        )
        if spec.method.type == "lora":
            use.take("method.type")
        for field in REFUSED:
            use.refuse(field, "Acme sets it")
        for field in DROPPED:
            use.drop(field, "how Acme computes is its own affair")
        for field in ("data", "validation", "evaluation", "output", "extra"):
            use.hold(field)
        return use.close({**order, **spec.extra.get(self.name, {})}, backend=self.name)

    def submit(self, plan: Plan, files: Files, key: str) -> JobId:
        """Hand in the order; an order number is used once."""
        if hashlib.sha256(files.train.read_bytes()).hexdigest() != files.train_sha256:
            raise RequestRejected("the rows changed on their way", backend=self.name)
        job = files.job / f"{key}.json"
        if not job.exists():
            end = "BROKEN" if self.power_cut else "DONE"
            job.write_text(json.dumps({"order": plan.request, "looks": 0, "end": end}))
        return JobId(str(job))

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        """Look at the order."""
        job = self._job(job_id)
        words = [*PATH, job["end"]]
        word = words[min(job["looks"], len(PATH))]
        job["looks"] += 1
        Path(job_id).write_text(json.dumps(job))
        seen = list(dict.fromkeys(words[: words.index(word) + 1]))
        events = tuple(
            StateEvent(id=f"{Path(job_id).stem}/{name}", state=STATES[name], native=name)
            for name in seen[int(cursor or 0) :]
        )
        reason = "Acme had a power cut" if word == "BROKEN" else ""
        return Update(
            state=STATES[word], native=word, events=events, cursor=str(len(seen)), reason=reason
        )

    def cancel(self, job_id: JobId) -> None:
        """Acme finishes what it has begun."""
        raise UnsupportedError("Acme cannot stop a job", backend=self.name)

    def fetch(self, job_id: JobId, into: Path) -> None:
        """Take the adapter home."""
        job = self._job(job_id)
        if job["looks"] <= len(PATH) or job["end"] != "DONE":
            raise BackendError(f"order {job_id} is not done", backend=self.name)
        write_adapter(into, model=job["order"]["base_model"], rank=job["order"]["rank"] or 16)

    def _job(self, job_id: JobId) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(Path(job_id).read_text())
        except FileNotFoundError:
            raise BackendError(f"Acme knows no order {job_id}", backend=self.name) from None
        return found


def _has(spec: FineTune, field: str) -> bool:
    group, _, name = field.partition(".")
    return not name or hasattr(getattr(spec, group), name)


def _own(use: Ledger, field: str) -> Any:
    """Take a value, or leave it to Acme where the spec says auto."""
    if use.value(field) == "auto":
        return use.adapt(field, None, "Acme picks it")
    return use.take(field)
