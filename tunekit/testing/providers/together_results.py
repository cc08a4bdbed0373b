"""What a Together job leaves, as an archive to download."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tunekit.testing.providers.adapter import Lora, write_full, write_lora
from tunekit.testing.providers.archive import pack
from tunekit.testing.providers.checks import Refused
from tunekit.testing.providers.downloads import Blob, Downloads
from tunekit.testing.providers.server import Reply, Request
from tunekit.testing.providers.together_jobs import Job
from tunekit.testing.providers.together_settings import Settings


class Results:
    """The archives of all jobs, made when they are first asked for."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.downloads = Downloads()
        self._settings = settings
        self._url = url
        self._packed: dict[tuple[str, str, int], Blob] = {}
        self._signed: dict[str, tuple[Job, str, int]] = {}

    def download(self, request: Request, job: Job) -> Reply:
        """Answer a download, or send on to a signed address.

        Raises:
            Refused: 400, the job has no such checkpoint.
        """
        kind, step = _selected(request, job)
        if self._settings.redirect is None:
            return self._serve(request, job, kind, step)
        signature = f"{job.id}-{len(self._signed) + 1}"
        self._signed[signature] = (job, kind, step)
        where = f"{self._url}/_blob/{job.id}?signature={signature}"
        return Reply(None, self._settings.redirect, {"Location": where})

    def signed(self, request: Request) -> Reply:
        """Answer at a signed address, as an object store does; an expired one stays expired."""
        signature = request.query.get("signature", "")
        if "authorization" in request.headers:
            return Reply(b"<Error><Code>InvalidArgument</Code></Error>", 400)
        if signature not in self._signed:
            return Reply(b"<Error><Code>AccessDenied</Code></Error>", 403)
        reply = self._serve(request, *self._signed[signature])
        if reply.status == 403:
            del self._signed[signature]
        return reply

    def archive(self, job: Job, kind: str = "adapter", step: int = 0, *, seed: int = 0) -> Blob:
        """Give the archive of a result: `adapter`, or `model`."""
        known = (job.id, f"{kind}-{seed}", step)
        if known not in self._packed:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                self._write(folder, job, kind, seed=seed + step)
                self._packed[known] = pack(folder, self._settings.archive)
        return self._packed[known]

    def _serve(self, request: Request, job: Job, kind: str, step: int) -> Reply:
        def other() -> bytes:
            return self.archive(job, kind, step, seed=1).content

        blob = self.archive(job, kind, step)
        return self.downloads.serve(request, blob, name=job.id, other=other)

    def _write(self, folder: Path, job: Job, kind: str, *, seed: int) -> None:
        asked, base = job.lora, self._settings.base
        if kind == "model" or asked is None:
            write_full(folder, base=base)
        elif self._settings.adapter is not None:
            shutil.copytree(self._settings.adapter, folder, dirs_exist_ok=True)
        else:
            modules = asked.get("lora_trainable_modules", "all-linear")
            dropout = asked.get("lora_dropout", 0.0)
            lora = Lora(asked["lora_r"], asked["lora_alpha"], dropout, modules)
            write_lora(folder, lora, model=job.model, base=base, seed=seed)


def _selected(request: Request, job: Job) -> tuple[str, int]:
    """Read which result is asked for; step 0 is the final one."""
    step = int(request.query.get("checkpoint_step") or 0)
    if step and step != job.curve.steps:
        held = {each["step"]: each["checkpoint"] for each in job.checkpoints()}
        if step not in held:
            raise Refused(400, f"no checkpoint at step {step}", param="checkpoint_step")
        return held[step], step
    if job.state != "completed":
        raise Refused(400, f"the job is {job.state}, not completed", param="ft_id")
    lora = {"adapter": "adapter", "merged": "model"}
    kinds = lora if job.lora else {"model_output_path": "model"}
    asked = request.query.get("checkpoint", next(reversed(kinds)) if step else "")
    if asked not in kinds:
        told = " or ".join(kinds)
        raise Refused(400, f"checkpoint must be {told} for this job", param="checkpoint")
    return kinds[asked], 0
