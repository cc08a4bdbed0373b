"""Together on loopback: files, fine-tuning, downloads and dedicated endpoints, with state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunekit.testing.providers.archive import ArchiveKind, default_kind
from tunekit.testing.providers.checks import Refused
from tunekit.testing.providers.downloads import DownloadFault
from tunekit.testing.providers.routes import Handler, Routes
from tunekit.testing.providers.server import LoopbackServer, Reply, Request
from tunekit.testing.providers.together_catalogue import WHOAMI, base_id, supported
from tunekit.testing.providers.together_chat import answer, served
from tunekit.testing.providers.together_files import FileStore, StoredFile
from tunekit.testing.providers.together_jobs import Job, Outcome
from tunekit.testing.providers.together_results import Results
from tunekit.testing.providers.together_serving import Serving
from tunekit.testing.providers.together_settings import Settings
from tunekit.testing.providers.together_tuning import Tuning


class LoopbackTogether(LoopbackServer):
    """A Together that keeps state: what is bought here costs nothing.

    Shapes and behaviour are those of the official SDK 3.1.1 and its documentation; every answer
    parses as the SDK's own types. `jobs` holds each job ever bought, `files` each file.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        key: str = "test-key",
        ticks: int = 1,
        lag: int = 0,
        price: float = 1.25,
        limits: Mapping[str, Any] | None = None,
        models: frozenset[str] | None = None,
        outcome: Outcome = "completed",
        adapter: Path | None = None,
        base: Path | None = None,
        archive: ArchiveKind | None = None,
        redirect: int | None = None,
    ) -> None:
        """Take what `Settings` describes, and the port; 0 is any free one."""
        super().__init__(port)
        self.settings = Settings(
            key=key,
            ticks=ticks,
            lag=lag,
            price=price,
            limits=limits or {},
            models=models,
            outcome=outcome,
            adapter=adapter,
            base=base,
            archive=archive or default_kind(),
            redirect=redirect,
        )
        self.key = key
        """The key that is let in; a test may change it while the server runs."""
        self._files = FileStore(self.url)
        self._tuning = Tuning(self.settings, self._files)
        self.results = Results(self.settings, self.url)
        self.serving = Serving(self._holds, ticks=ticks)
        self._routes = Routes(
            {
                **self._own(),
                **self._files.routes(),
                **self._tuning.routes(),
                **self.serving.routes(),
            }
        )

    @property
    def jobs(self) -> list[Job]:
        """Every job ever bought, in order, cancelled and deleted ones too."""
        return self._tuning.jobs

    @property
    def files(self) -> dict[str, StoredFile]:
        """Every file, by id."""
        return self._files.files

    def set_state(self, job_id: str, state: str, *, hold: bool = True) -> None:
        """Put a job into a state of any name, to stay there unless `hold` is False."""
        with self._lock:
            job = self._tuning.get(job_id)
            job.enter(state)
            job.held = hold

    def break_download(
        self,
        *faults: DownloadFault | None,
        job_id: str = "",
        at: int | None = None,
        becomes: bytes | None = None,
    ) -> None:
        """Let the next downloads, of one job or of any, go wrong one after the other.

        `changed` becomes another sound archive, with other numbers, unless `becomes` is given.
        """
        self.results.downloads.order(*faults, name=job_id, at=at, becomes=becomes)

    def expire_uploads(self, count: int = 1) -> None:
        """Let the next uploads to a signed address find it expired: 403."""
        self._files.expire(count)

    def answer(self, request: Request) -> Reply:
        """Carry out one request."""
        try:
            if request.path.startswith("/_blob/"):
                return self._blob(request)
            self._require_key(request)
            return self._routes.answer(request)
        except Refused as refused:
            return _error(refused)
        except ValueError as error:
            return _error(Refused(400, f"the request cannot be read: {error}"))

    def _own(self) -> dict[str, Handler]:
        return {
            "GET /v3/whoami": self._whoami,
            "GET /v2/supported-models": self._supported,
            "POST /v1/chat/completions": self._chat,
            "GET /v1/finetune/download": self._download,
        }

    def _whoami(self, request: Request) -> Reply:
        return Reply(WHOAMI)

    def _download(self, request: Request) -> Reply:
        return self.results.download(request, self._tuning.get(request.query.get("ft_id", "")))

    def _blob(self, request: Request) -> Reply:
        if request.method != "PUT":
            return self.results.signed(request)
        authorized = "authorization" in request.headers
        signature = request.query.get("signature", "")
        return self._files.put(signature, request.body, authorized=authorized)

    def _supported(self, request: Request) -> Reply:
        known = self.settings.models or {job.model for job in self.jobs}
        wanted = request.query.get("search")
        if wanted and self.settings.models is None:
            known = {wanted}
        found = [name for name in sorted(known) if (wanted or "").lower() in name.lower()]
        return Reply({"data": [supported(name) for name in found]})

    def _chat(self, request: Request) -> Reply:
        names = served(self.jobs, self.serving.endpoints.values())
        return Reply(answer(request.json(), names))

    def _holds(self, model_id: str) -> bool:
        """Whether the registry has a model: a result, or a base that a job was made from."""
        done = [job for job in self.jobs if job.state == "completed"]
        ids = {job.object_id(kind) for job in done for kind in ("model", "adapter")}
        return model_id in ids or model_id in {base_id(job.model) for job in self.jobs}

    def _require_key(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refused(401, "Invalid API key provided", param=None)


def _error(refused: Refused) -> Reply:
    code = "invalid_api_key" if refused.status == 401 else None
    error = {
        "message": refused.message,
        "type": "invalid_request_error",
        "param": refused.param,
        "code": code,
    }
    return Reply({"error": error}, refused.status)
