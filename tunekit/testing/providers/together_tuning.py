"""Fine-tuning at Together: priced, bought, looked at, cancelled."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from tunekit.testing.providers.checks import Refused, check
from tunekit.testing.providers.routes import Handler
from tunekit.testing.providers.server import Reply, Request
from tunekit.testing.providers.together_curve import Curve
from tunekit.testing.providers.together_files import FileStore, StoredFile
from tunekit.testing.providers.together_jobs import Job
from tunekit.testing.providers.together_preview import preview
from tunekit.testing.providers.together_requests import (
    CREATE,
    ESTIMATE,
    PREVIEW,
    limits_of,
    require_within,
)
from tunekit.testing.providers.together_settings import CREDIT, Settings

_BYTES_PER_TOKEN = 4
_INVALID = ("INVALID_FORMAT", "FAILED")


class Tuning:
    """All fine-tuning jobs of the account."""

    def __init__(self, settings: Settings, files: FileStore) -> None:
        self.jobs: list[Job] = []
        self._settings = settings
        self._files = files

    def routes(self) -> dict[str, Handler]:
        """Give what is answered here."""
        one = "/v1/fine-tunes/{}"
        return {
            "GET /v1/fine-tunes/models/limits": self.limits,
            "POST /v1/fine-tunes/estimate-price": self.estimate,
            "POST /v1/fine-tunes/preview": self.preview,
            "POST /v1/fine-tunes": self.create,
            "GET /v1/fine-tunes": self.listing,
            f"GET {one}": self.retrieve,
            f"DELETE {one}": self.delete,
            f"POST {one}/cancel": self.cancel,
            f"GET {one}/events": self.events,
            f"GET {one}/metrics": self.metrics,
            f"GET {one}/checkpoints": self.checkpoints,
        }

    def limits(self, request: Request) -> Reply:
        """Show the limits of a model, or of the model that a job or its output was made from."""
        name = request.query.get("model_name", "")
        parent = self._made(name)
        return Reply(self._limits(parent.model if parent else name))

    def estimate(self, request: Request) -> Reply:
        """Show what a job would cost, once its files are validated."""
        told = check(request.json(), ESTIMATE)
        files = self._told_files(told)
        for what, file in files.items():
            reason = _unpriced(file, {"training_file": "train", "validation_file": "eval"}[what])
            if reason:
                return Reply({"estimation_available": False, "unavailable_reason": reason})
        held_out = files.get("validation_file")
        tokens = _tokens(held_out) * told.get("n_evals", 0) if held_out else 0
        return Reply(
            {
                "estimation_available": True,
                "estimated_total_price": self._settings.price,
                "allowed_to_proceed": self._settings.price <= CREDIT,
                "user_limit": CREDIT,
                "estimated_train_token_count": _tokens(files["training_file"])
                * told.get("n_epochs", 1),
                "estimated_eval_token_count": tokens,
            }
        )

    def preview(self, request: Request) -> Reply:
        """Show the first rows as tokens."""
        told = check(request.json(), PREVIEW)
        longest = self._limits(told["model"])["max_seq_length_sft"]
        file = self._told_files(told)["training_file"]
        return Reply(preview(file, told, longest=longest))

    def create(self, request: Request) -> Reply:
        """Buy a job."""
        told = check(request.json(), CREATE)
        model = self._model(told)
        limits = self._limits(model)
        require_within(told, limits)
        files = self._told_files(told)
        for what, file in files.items():
            _require_validated(what, file)
            _require_format(what, file, told)
        if told.get("hf_output_repo_name") and not told.get("hf_api_token"):
            raise Refused(400, "hf_output_repo_name needs hf_api_token", param="hf_api_token")
        if self._settings.price > CREDIT:
            raise Refused(402, f"the job costs more than your limit of ${CREDIT}")
        job = self._bought(told, model, limits, files["training_file"])
        self.jobs.append(job)
        return Reply(job.truncated())

    def listing(self, request: Request) -> Reply:
        """Show all jobs, the newest first; a new one only after so many calls."""
        shown: list[Job] = []
        for job in self.jobs:
            if job.hidden > 0:
                job.hidden -= 1
            elif not job.deleted:
                shown.append(job)
        return Reply({"data": [job.truncated() for job in reversed(shown)]})

    def retrieve(self, request: Request, job_id: str) -> Reply:
        """Look at a job, which goes on by being looked at."""
        job = self.get(job_id)
        job.look(self._settings.ticks)
        return Reply(job.full())

    def cancel(self, request: Request, job_id: str) -> Reply:
        """Ask a job to stop."""
        job = self.get(job_id)
        if job.over:
            raise Refused(400, f"a job that is {job.state} cannot be cancelled", param="id")
        if job.state != "cancel_requested":
            job.enter("cancel_requested")
        return Reply(job.truncated())

    def delete(self, request: Request, job_id: str) -> Reply:
        """Forget a job."""
        self.get(job_id).deleted = True
        return Reply({"message": f"Fine-tune job {job_id} deleted"})

    def events(self, request: Request, job_id: str) -> Reply:
        """Show all events of a job."""
        return Reply({"data": self.get(job_id).events})

    def metrics(self, request: Request, job_id: str) -> Reply:
        """Show what was logged, within the bounds asked for."""
        job, query = self.get(job_id), request.query
        first = int(query.get("global_step_from", 0))
        last = int(query.get("global_step_to", job.steps_done))
        rows = [row for row in job.metrics() if first <= row["train/global_step"] <= last]
        if not _within(job.updated, query):
            rows = []
        if query.get("resolution"):
            train = [row for row in rows if "train/loss" in row]
            kept = _sampled(train, int(query["resolution"]))
            rows = [row for row in rows if "train/loss" not in row or row in kept]
        return Reply({"metrics": rows})

    def checkpoints(self, request: Request, job_id: str) -> Reply:
        """Show what was saved."""
        return Reply({"data": self.get(job_id).checkpoints()})

    def get(self, job_id: str) -> Job:
        """Give a job that was not deleted.

        Raises:
            Refused: 404.
        """
        found = [job for job in self.jobs if job.id == job_id and not job.deleted]
        if not found:
            raise Refused(404, f"Fine-tune job not found: {job_id}", param="id")
        return found[0]

    def _model(self, told: Mapping[str, Any]) -> str:
        model, parent = told.get("model"), told.get("from_checkpoint")
        if bool(model) == bool(parent):
            raise Refused(400, "either model or from_checkpoint is required", param="model")
        if not parent:
            return str(model)
        made = self._made(parent)
        if made is None or made.state != "completed":
            raise Refused(404, f"Checkpoint not found: {parent}", param="from_checkpoint")
        return made.model

    def _made(self, name: str) -> Job | None:
        """Find the job of a checkpoint's name: its id or output name, `:step` after it or not."""
        bare = name.partition(":")[0]
        return next((job for job in self.jobs if bare in (job.id, job.output_name)), None)

    def _limits(self, model: str) -> dict[str, Any]:
        known = self._settings.models
        if known is not None and model not in known:
            raise Refused(404, f"Model not found: {model}", param="model")
        return limits_of(model, self._settings.limits)

    def _told_files(self, told: Mapping[str, Any]) -> dict[str, StoredFile]:
        found: dict[str, StoredFile] = {}
        for what in ("training_file", "validation_file"):
            file_id = told.get(what)
            if file_id and file_id not in self._files.files:
                raise Refused(404, f"File not found: {file_id}", param=what)
            if file_id:
                found[what] = self._files.files[file_id]
        return found

    def _bought(
        self, told: Mapping[str, Any], model: str, limits: Mapping[str, Any], file: StoredFile
    ) -> Job:
        rank = limits["lora_training"]["default_rank"]
        default = {"type": "Lora", "lora_r": rank, "lora_alpha": 2 * rank}
        kind = told.get("training_type") or default
        group = limits["lora_training" if kind["type"] == "Lora" else "full_training"]
        dpo = told.get("training_method", {}).get("method") == "dpo"
        batch = told.get("batch_size", "max")
        if batch == "max":
            batch = group["max_batch_size_dpo" if dpo else "max_batch_size"]
        mark = hashlib.sha256(f"job {len(self.jobs)}".encode()).digest()
        return Job(
            id=f"ft-{uuid.UUID(bytes=mark[:16])}",
            request=told,
            model=model,
            lora=kind if kind["type"] == "Lora" else None,
            curve=Curve(told, (file.report or {}).get("nlines", 1), batch),
            tokens=_tokens(file) * told.get("n_epochs", 1),
            price=self._settings.price,
            outcome=self._settings.outcome,
            hidden=self._settings.lag,
        )


def _tokens(file: StoredFile) -> int:
    return math.ceil(len(file.content or b"") / _BYTES_PER_TOKEN)


def _unpriced(file: StoredFile, what: str) -> str | None:
    if file.status in _INVALID:
        return f"{what}_file_invalid"
    if file.status != "COMPLETED":
        return f"{what}_file_not_validated"
    return "multimodal_dataset" if (file.report or {}).get("dataset_is_multimodal") else None


def _require_validated(what: str, file: StoredFile) -> None:
    if file.status != "COMPLETED":
        state = file.status or "not uploaded"
        raise Refused(400, f"{what} {file.id} is not validated: {state}", param=what)


def _require_format(what: str, file: StoredFile, told: Mapping[str, Any]) -> None:
    preferences = (file.report or {}).get("dataset_format") == "preference_openai"
    dpo = told.get("training_method", {}).get("method") == "dpo"
    if preferences != dpo:
        method = "dpo" if dpo else "sft"
        raise Refused(400, f"{what} is not in a format for {method}", param=what)


def _within(logged: str, query: Mapping[str, str]) -> bool:
    at = _time(logged)
    first, last = query.get("logged_at_from"), query.get("logged_at_to")
    return (first is None or _time(first) <= at) and (last is None or at <= _time(last))


def _time(written: str) -> datetime:
    """Read a time; Python 3.10 does not know the Z."""
    read = datetime.fromisoformat(written.replace("Z", "+00:00"))
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)


def _sampled(rows: list[dict[str, float]], count: int) -> list[dict[str, float]]:
    """Give at most so many rows, evenly spread, the last among them."""
    if len(rows) <= count:
        return rows
    return [rows[math.ceil(len(rows) * index / count) - 1] for index in range(1, count + 1)]
