"""Models: those of the house, those that jobs made, and their files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunekit.testing.providers.adapter import Lora, write_full, write_lora
from tunekit.testing.providers.fireworks_errors import missing, too_early
from tunekit.testing.providers.fireworks_jobs import SUCCEEDED, Job
from tunekit.testing.providers.fireworks_links import Links
from tunekit.testing.providers.fireworks_place import TIME, Place, paged
from tunekit.testing.providers.fireworks_settings import Settings
from tunekit.testing.providers.server import Reply, Request

HOUSE = "fireworks"
"""The account whose models everyone may use."""

ALPHA = 32
"""`lora_alpha` where a job cannot say, as the vendor's own trainer has it."""

_USUAL: Mapping[str, Any] = {
    "kind": "HF_BASE_MODEL",
    "state": "READY",
    "public": True,
    "tunable": True,
    "supportsLora": True,
    "supervisedLoraTunable": True,
    "supervisedFullParameterTunable": False,
    "rlLoraTunable": True,
    "rlFullParameterTunable": False,
    "supportsTools": True,
    "supportsImageInput": False,
    "supportsServerless": False,
    "trainingContextLength": 32768,
    "contextLength": 40960,
}
_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Models:
    """Answer what concerns models."""

    def __init__(self, links: Links, jobs: Sequence[Job], settings: Settings) -> None:
        self.promoted: dict[str, Job] = {}
        """Models made of a checkpoint, by their full names."""
        self._links = links
        self._jobs = jobs
        self._settings = settings
        self._files: dict[str, Mapping[str, bytes]] = {}

    def get(self, request: Request, place: Place) -> Reply:
        """Describe a model."""
        return Reply(self.view(place.name))

    def page(self, request: Request, place: Place) -> Reply:
        """Describe the models of the account, a page at a time."""
        names = [job.output for job in self._jobs if _kept(job)] + list(self.promoted)
        return paged(request, "models", [self.view(name) for name in names])

    def download_endpoint(self, request: Request, place: Place) -> Reply:
        """Give a signed address for each file."""
        view = self.view(place.name)
        if view["state"] != "READY" or place.account == HOUSE:
            raise too_early(f"{place.name} cannot be downloaded")
        files = self.files(place.name)
        return Reply(
            {
                "filenameToSignedUrls": {
                    name: self._links.to_read(f"{place.name}/{name}", content)
                    for name, content in files.items()
                }
            }
        )

    def view(self, name: str) -> dict[str, Any]:
        """Describe a model.

        Raises:
            Refusal: NOT_FOUND.
        """
        _, account, _, slug = name.split("/") if name.count("/") == 3 else ("", "", "", "")
        known = self._settings.models is None or slug in self._settings.models
        if account == HOUSE and known:
            return {"name": name, **_USUAL, **self._settings.capabilities}
        return self._made(name, self.maker(name))

    def maker(self, name: str) -> Job:
        """Find the job that made a model."""
        job = self.promoted.get(name)
        made = (one for one in self._jobs if one.output == name and _kept(one))
        job = job or next(made, None)
        if job is None:
            raise missing(name)
        return job

    def base_of(self, config: Mapping[str, Any]) -> str:
        """Give the base model of a training's settings, through a warm start if need be."""
        warm = config.get("warmStartFrom")
        return self.base_of(self.maker(warm).config) if warm else str(config["baseModel"])

    def files(self, name: str) -> Mapping[str, bytes]:
        """Give the files of a model that a job made."""
        if self._settings.adapter is not None:
            return _read(self._settings.adapter)
        if name not in self._files:
            with tempfile.TemporaryDirectory() as folder:
                self._write(Path(folder), self.maker(name))
                self._files[name] = _read(Path(folder))
        return self._files[name]

    def _made(self, name: str, job: Job) -> dict[str, Any]:
        ready = name in self.promoted or job.word in SUCCEEDED
        view: dict[str, Any] = {
            "name": name,
            "displayName": "",
            "createTime": TIME,
            "state": "READY" if ready else "UPLOADING",
            "status": {"code": "OK", "message": ""},
            "kind": "HF_PEFT_ADDON" if job.rank else "HF_BASE_MODEL",
            "fineTuningJob": job.name,
        }
        if job.rank:
            base = self.base_of(job.config)
            targets = list(job.config.get("loraTargetModules", _TARGETS))
            view["peftDetails"] = {"baseModel": base, "r": job.rank, "targetModules": targets}
        return view

    def _write(self, folder: Path, job: Job) -> None:
        base, config = self._settings.base, job.config
        if not job.rank:
            write_full(folder, base=base)
            return
        modules = ",".join(config.get("loraTargetModules", ())) or "all-linear"
        alpha, dropout = config.get("loraAlpha") or ALPHA, config.get("loraDropout", 0.0)
        lora = Lora(job.rank, alpha, dropout, modules)
        seed = self._jobs.index(job)
        write_lora(folder, lora, model=self.base_of(config), base=base, seed=seed)


def _kept(job: Job) -> bool:
    return not job.deleted and job.word in SUCCEEDED | {"WRITING_RESULTS"}


def _read(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
