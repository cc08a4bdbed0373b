"""Harbor, a service that trains LoRA adapters over HTTP: what it takes to add a provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunekit.backends.answer import NotFound
from tunekit.backends.backend import Capabilities, JobId, Recalled, Update
from tunekit.backends.download import Link, download
from tunekit.backends.journal import Upload
from tunekit.backends.managed import Managed
from tunekit.backends.sent import Sent
from tunekit.data.native import openai
from tunekit.data.profile import Profile
from tunekit.data.rows import Row
from tunekit.errors import BackendError, RequestRejected
from tunekit.events import JobState, MetricsEvent
from tunekit.models import Model
from tunekit.planning import replay
from tunekit.planning.defaults import resolve
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune

TAKEN = {
    "rank": "method.rank",
    "alpha": "method.alpha",
    "passes": "training.epochs",
    "batch": "training.batch_size",
    "peak_rate": "training.learning_rate",
}
REFUSED = (
    # Whatever is left of these, when what Harbor knows has been taken.
    *("method", "objective"),
    *("training.max_steps", "training.max_length"),
    *("training.scheduler", "training.warmup_ratio", "training.packing"),
    *("training.weight_decay", "training.max_grad_norm", "training.seed"),
    "training.early_stopping",
)
DROPPED = ("training.dtype", "training.gradient_checkpointing", "training.checkpoint_steps")
_MACHINE = Machine("harbor", 1, 1, 0, True, "Harbor's own")


@dataclass(frozen=True, kw_only=True)
class Harbor(Managed):
    """Train at Harbor."""

    name: ClassVar[str] = "harbor"
    capabilities: ClassVar[Capabilities] = Capabilities()
    key_name: ClassVar[str] = "HARBOR_API_KEY"
    url_name: ClassVar[str] = "HARBOR_BASE_URL"
    usual_url: ClassVar[str] = "https://api.harbor.example"
    states: ClassVar[Mapping[str, JobState]] = {
        "moored": JobState.QUEUED,
        "at sea": JobState.RUNNING,
        "home": JobState.SUCCEEDED,
        "sunk": JobState.FAILED,
        "recalled": JobState.CANCELLED,
    }

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        """Write Harbor's order."""
        use = Ledger(spec, resolve(spec, model, data, _MACHINE))
        order: dict[str, Any] = {"model": use.take("model")}
        for name, field in TAKEN.items():
            if _has(spec, field):
                order[name] = use.take(field)
        for field, known in (("method.type", "lora"), ("objective.type", "sft")):
            if (asked := use.take(field)) != known:
                use.refuse_value(field, asked, f"Harbor knows {known} only")
        for field in REFUSED:
            use.refuse(field, "Harbor sets it")
        for field in DROPPED:
            use.drop(field, "how Harbor computes is its own affair")
        for field in ("data", "validation", "evaluation", "output", "extra"):
            use.hold(field)
        replay.hold(use, spec, data)
        return use.close({**order, **spec.extra.get(self.name, {})}, backend=self.name, data=data)

    def native(self, row: Row, plan: Plan) -> dict[str, Any]:
        """Write rows as OpenAI does."""
        return openai(row)

    def upload(self, file: Sent) -> str:
        """Send a file under its hash, unless Harbor has it."""
        try:
            return str(self.http.get(f"/files/{file.sha256}")["id"])
        except NotFound:
            headers = {"Content-Length": str(file.size), "Content-Type": "application/octet-stream"}
            self.http.call("PUT", f"/files/{file.sha256}", body=file.blocks, headers=headers)
        return file.sha256

    def check(self, plan: Plan, uploads: Mapping[str, Upload]) -> None:
        """Harbor trains up to rank 64."""
        if plan.request["rank"] > 64:
            raise RequestRejected("harbor: method.rank: at most 64", backend=self.name)

    def price(self, plan: Plan, uploads: Mapping[str, Upload]) -> float | None:
        """Ask for a quote."""
        return float(self.http.get("/quote", passes=plan.request["passes"])["dollars"])

    def create(self, plan: Plan, uploads: Mapping[str, Upload], marker: str) -> JobId:
        """Hand in the order."""
        order = {**plan.request, "file": uploads["train"].id, "mark": marker}
        return JobId(self.http.post("/jobs", order)["id"])

    def find(self, plan: Plan, marker: str) -> Sequence[JobId]:
        """Look for our mark; Harbor lists the oldest first."""
        return [JobId(job["id"]) for job in self.http.get("/jobs", mark=marker)["jobs"]]

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        """Look at the job, which tells all it ever said."""
        job = self.http.get(f"/jobs/{job_id}")
        told = [
            MetricsEvent(id=f"{job_id}/{step}", step=step, metrics={"loss": loss})
            for step, loss in enumerate(job["losses"], start=1)
        ]
        return Update(
            state=self.state_of(job["state"]),
            native=job["state"],
            events=tuple(told[int(cursor or 0) :]),
            cursor=str(len(told)),
            reason=job.get("reason", ""),
            hosted=f"harbor/{job_id}",
            used={"base_model": job["order"]["model"], "alpha": job["order"]["alpha"]},
        )

    def cancel(self, job_id: JobId) -> None:
        """Call the ship back; Harbor takes it well when it is home already."""
        self.http.post(f"/jobs/{job_id}/recall", idempotent=True)

    def fetch(self, job_id: JobId, into: Path) -> None:
        """Take the two files of an adapter home."""
        state = self.http.get(f"/jobs/{job_id}")["state"]
        if self.state_of(state) is not JobState.SUCCEEDED:
            raise BackendError(f"harbor: {job_id} is {state}, not home", backend=self.name)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            address = f"{self.http.base_url}/jobs/{job_id}/cargo/{name}"
            download(
                self.http, lambda address=address: Link(url=address, signed=False), into / name
            )

    def recall(self, job_id: JobId) -> Recalled:
        """Tell what the order was."""
        order = self.http.get(f"/jobs/{job_id}")["order"]
        spec = {"model": order["model"], "data": f"harbor:{order['file']}"}
        return Recalled(spec=spec, request=order)


def _has(spec: FineTune, field: str) -> bool:
    group, _, name = field.partition(".")
    return hasattr(getattr(spec, group), name)
