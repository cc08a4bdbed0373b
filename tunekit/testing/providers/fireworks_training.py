"""What a client may do with jobs: supervised ones and those on preferences, alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tunekit.testing.providers.fireworks_datasets import Dataset, Datasets
from tunekit.testing.providers.fireworks_errors import (
    Refusal,
    invalid,
    missing,
    taken,
    too_early,
)
from tunekit.testing.providers.fireworks_jobs import (
    OVER,
    Job,
    JobKind,
    new_job,
    path_to,
)
from tunekit.testing.providers.fireworks_links import Links
from tunekit.testing.providers.fireworks_models import Models
from tunekit.testing.providers.fireworks_place import TIME, Place, paged
from tunekit.testing.providers.fireworks_requests import (
    body_of,
    check_dpo,
    check_id,
    check_sft,
    check_table,
    checked,
)
from tunekit.testing.providers.fireworks_settings import Settings
from tunekit.testing.providers.fireworks_tables import Table
from tunekit.testing.providers.server import Reply, Request

_PROMOTION: Table = {
    "output_model": "string",
    "base_model": "string",
    "async_promotion": "boolean",
}
_ID_FIELDS: Mapping[str, str] = {
    "supervisedFineTuningJobs": "supervisedFineTuningJobId",
    "dpoJobs": "dpoJobId",
}
_UNUSABLE = {"code": "INVALID_ARGUMENT", "message": "No valid training examples after tokenization"}


class Jobs:
    """Answer what concerns jobs."""

    def __init__(
        self,
        jobs: list[Job],
        settings: Settings,
        *,
        datasets: Datasets,
        models: Models,
        links: Links,
    ) -> None:
        self._jobs = jobs
        self._settings = settings
        self._datasets = datasets
        self._models = models
        self._links = links

    def create(self, request: Request, place: Place) -> Reply:
        """Buy a job, unless its id is taken."""
        kind = cast("JobKind", place.collection)
        body = checked(request, kind)
        field = _ID_FIELDS[kind]
        key = check_id(field, request.query.get(field) or f"job{len(self._jobs) + 1}")
        if self._find(kind, key) is not None:
            raise taken("job")
        dataset = self._check(kind, body)
        name = f"accounts/{place.account}/{kind}/{key}"
        job = self._begun(new_job(kind, name, body, rows=dataset.rows, **self._way(kind, dataset)))
        self._check_output(job)
        self._jobs.append(job)
        return Reply(self._view(job))

    def get(self, request: Request, place: Place) -> Reply:
        """Describe a job; looking at it lets time pass."""
        job = self._found(place)
        job.look()
        return Reply(self._view(job))

    def page(self, request: Request, place: Place) -> Reply:
        """Describe the jobs of a kind, newest first, a page at a time."""
        jobs = [job for job in reversed(self._jobs) if job.kind == place.collection]
        shown = [job for job in jobs if not job.deleted and job.hidden <= 0]
        for job in jobs:
            job.hidden -= 1
        return paged(request, place.collection, [self._view(job) for job in shown])

    def cancel(self, request: Request, place: Place) -> Reply:
        """Ask a job to stop; the answer is empty."""
        job = self._found(place)
        check_table(body_of(request), {}, "")
        if job.word in OVER:
            raise too_early(f"job is already {job.word}", reason="JOB_ALREADY_TERMINAL")
        if job.word != "CANCELLING":
            end = "CANCELLED" if self._settings.cancel_wins else job.path[-1]
            job.begin(("CANCELLING", end))
        return Reply({})

    def resume(self, request: Request, place: Place) -> Reply:
        """Start a job again that failed, was cancelled or is paused."""
        job = self._found(place)
        check_table(body_of(request), {}, "")
        if job.word not in ("FAILED", "CANCELLED", "EXPIRED", "PAUSED"):
            raise too_early(
                f"a job that is {job.word} cannot be resumed", reason="JOB_NOT_RESUMABLE"
            )
        job.begin(path_to(self._settings.outcome))
        job.resumed += 1
        return Reply(self._view(job))

    def delete(self, request: Request, place: Place) -> Reply:
        """Forget a job; the record of it stays in `jobs`."""
        job = self._found(place)
        job.deleted = True
        job.pinned = "JOB_STATE_DELETED"
        return Reply({})

    def estimate(self, request: Request, place: Place) -> Reply:
        """Say what a job would cost, and buy nothing."""
        kind = cast("JobKind", place.collection)
        body = checked(request, kind)
        self._check(kind, body)
        return Reply({"estimatedCost": self._settings.money})

    def metrics_endpoint(self, request: Request, place: Place) -> Reply:
        """Give a signed address of the metrics so far."""
        job = self._found(place)
        if not job.steps_done:
            raise missing(f"the metrics of {job.name}")
        return Reply({"signedUrl": self._metrics_url(job)})

    def checkpoints(self, request: Request, place: Place) -> Reply:
        """Describe the checkpoints of a job."""
        job = self._found(place)
        kind = "CHECKPOINT_TYPE_INFERENCE_LORA" if job.rank else "CHECKPOINT_TYPE_INFERENCE_BASE"
        rows = [
            {
                "name": f"{job.name}/checkpoints/{key}",
                "checkpointType": kind,
                "promotable": True,
                "createTime": TIME,
            }
            for key in job.checkpoints
        ]
        return paged(request, "checkpoints", rows)

    def promote(self, request: Request, place: Place) -> Reply:
        """Make a model of a checkpoint; this one body has snake case."""
        job = self._found(place)
        body = body_of(request)
        check_table(body, _PROMOTION, "")
        if place.checkpoint not in job.checkpoints:
            raise missing(f"{job.name}/checkpoints/{place.checkpoint}")
        name = body.get("output_model", "")
        if body.get("base_model") != self._models.base_of(job.config):
            raise invalid("base_model", "is not the base model of the job")
        if not name.startswith(f"accounts/{place.account}/models/"):
            raise invalid("output_model", "is not the full name of a model of this account")
        if name in self._models.promoted:
            raise taken("model")
        self._models.promoted[name] = job
        model = self._models.view(name)
        if not body.get("async_promotion"):
            return Reply({"model": model})
        operation = f"accounts/{place.account}/operations/{name.rpartition('/')[2]}"
        return Reply({"operation": {"name": operation, "done": True, "response": model}})

    def _find(self, kind: str, key: str) -> Job | None:
        same = (job for job in self._jobs if (job.kind, job.id) == (kind, key))
        return next((job for job in same if not job.deleted), None)

    def _found(self, place: Place) -> Job:
        job = self._find(place.collection, place.id)
        if job is None:
            raise missing(place.name)
        return job

    def _check(self, kind: JobKind, body: Mapping[str, Any]) -> Dataset:
        supervised = kind == "supervisedFineTuningJobs"
        (check_sft if supervised else check_dpo)(body)
        at = "" if supervised else "trainingConfig."
        self._check_model(body if supervised else body["trainingConfig"], at)
        if body.get("evaluationDataset"):
            self._datasets.ready(body["evaluationDataset"], field="evaluationDataset")
        return self._datasets.ready(body["dataset"], field="dataset")

    def _check_model(self, config: Mapping[str, Any], at: str) -> None:
        """Ask the flags of the base model, as the service does."""
        named = "warmStartFrom" if config.get("warmStartFrom") else "baseModel"
        try:
            model = self._models.view(config[named])
            if named == "warmStartFrom":
                model = self._models.view(self._models.base_of(config))
        except Refusal:
            raise invalid(at + named, f"{config[named]} not found", what="NOT_FOUND") from None
        full = config.get("loraRank", 8) == 0
        flag = "supervisedFullParameterTunable" if full else "supervisedLoraTunable"
        if not model.get(flag):
            raise invalid(f"{at}loraRank", f"{model['name']} is not {flag}", what="NOT_SUPPORTED")
        longest = model["trainingContextLength"]
        if config.get("maxContextLength", 0) > longest:
            raise invalid(f"{at}maxContextLength", f"more than {longest}", what="TOO_LONG")

    def _check_output(self, job: Job) -> None:
        account, key = job.output.split("/")[1], job.output.rpartition("/")[2]
        if account != self._settings.account:
            raise invalid("outputModel", f"{job.output} belongs to another account")
        check_id("outputModel", key)
        names = {other.output for other in self._jobs if not other.deleted} | set(
            self._models.promoted
        )
        if job.output in names:
            raise taken("model")

    def _way(self, kind: JobKind, dataset: Dataset) -> dict[str, Any]:
        wanted = "chat" if kind == "supervisedFineTuningJobs" else "preference"
        path = self._settings.outcome if dataset.kind == wanted else "UNUSABLE"
        return {"ticks": self._settings.ticks, "path": path}

    def _begun(self, job: Job) -> Job:
        job.hidden = self._settings.list_lag
        job.status = _UNUSABLE if job.path == path_to("UNUSABLE") else dict(self._settings.failure)
        return job

    def _view(self, job: Job) -> dict[str, Any]:
        view = job.view(secrets=self._settings.echo_secrets)
        if job.kind == "dpoJobs":
            return view
        view["updateTime"] = TIME
        view["outputModel"] = job.output
        view["jobProgress"] = {"percent": job.percent, "epoch": self._epoch(job)}
        view["estimatedCost"] = self._settings.money
        if job.steps_done:
            view["metricsFileSignedUrl"] = self._metrics_url(job)
        return view

    def _epoch(self, job: Job) -> int:
        return max(0, job.steps_done - 1) // job.training.steps_per_epoch

    def _metrics_url(self, job: Job) -> str:
        def content() -> bytes:
            return job.metrics(nested=self._settings.nested_metrics)

        return self._links.to_read(f"{job.name}/metrics.jsonl", content)
