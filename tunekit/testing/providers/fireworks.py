"""A Fireworks on 127.0.0.1: datasets, jobs, models, deployments and chat, with faults to order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunekit.testing.providers.downloads import Downloads
from tunekit.testing.providers.faults import Fault
from tunekit.testing.providers.fireworks_chat import PATHS, Chat
from tunekit.testing.providers.fireworks_datasets import Dataset, Datasets
from tunekit.testing.providers.fireworks_deployments import Deployment, Deployments
from tunekit.testing.providers.fireworks_errors import Code, Refusal
from tunekit.testing.providers.fireworks_jobs import Job, Outcome, on_the_wire
from tunekit.testing.providers.fireworks_links import ROOT, Links
from tunekit.testing.providers.fireworks_models import HOUSE, Models
from tunekit.testing.providers.fireworks_place import Place, place_of
from tunekit.testing.providers.fireworks_settings import Settings
from tunekit.testing.providers.fireworks_training import Jobs
from tunekit.testing.providers.server import LoopbackServer, Reply, Request

_Answer = Callable[[Request, Place], Reply]
_Route = tuple[str, str, str]
"""Method, what is addressed (collection, one of it, its checkpoints, one of those), verb."""

_NOT_DONE: Mapping[Fault, Code] = {
    "500-before": "INTERNAL",
    "429": "RESOURCE_EXHAUSTED",
    "409": "ABORTED",
}


class LoopbackFireworks(LoopbackServer):
    """Behave as Fireworks does, as far as its documents and its SDK tell.

    Requests are checked against the parameters of the official SDK; time passes with each GET.
    `settings` may be changed at any time; `faults` breaks answers of the service, `downloads`
    those of signed addresses.

    ```python
    with LoopbackFireworks(ticks=2) as server:
        server.faults.order("POST /v1/accounts/acme/dpoJobs", "lost-after")
        server.downloads.order("cut", name="adapter_model.safetensors", at=1000)
    ```
    """

    def __init__(
        self,
        *,
        port: int = 0,
        key: str = "test-key",
        account: str = "acme",
        ticks: int = 1,
        price: float = 1.25,
        models: frozenset[str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        outcome: Outcome = "COMPLETED",
        adapter: Path | None = None,
        base: Path | None = None,
        echo_secrets: bool = True,
    ) -> None:
        super().__init__(port)
        self.settings = Settings(
            key=key,
            account=account,
            ticks=ticks,
            price=price,
            models=models,
            capabilities=capabilities or {},
            outcome=outcome,
            adapter=adapter,
            base=base,
            echo_secrets=echo_secrets,
        )
        self.jobs: list[Job] = []
        """Every job that was ever bought, the deleted ones too, in order."""
        self._links = Links(lambda: self.url)
        self._datasets = Datasets(self._links, self.settings)
        self._models = Models(self._links, self.jobs, self.settings)
        self._deployments = Deployments(self._models, self.settings)
        self._chat = Chat(self._deployments, self.settings)
        jobs = Jobs(
            self.jobs,
            self.settings,
            datasets=self._datasets,
            models=self._models,
            links=self._links,
        )
        self._routes = _routes(self._datasets, jobs, self._models, self._deployments)

    @property
    def downloads(self) -> Downloads:
        """Faults of what is fetched from signed addresses, by file name."""
        return self._links.downloads

    @property
    def leaks(self) -> list[Request]:
        """Requests that brought the key to a signed address."""
        return self._links.leaks

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        """The datasets by id."""
        return self._datasets.kept

    @property
    def deployments(self) -> Mapping[str, Deployment]:
        """The deployments by full name, the deleted ones too."""
        return self._deployments.kept

    def set_state(self, job: Job | str, state: str | int) -> None:
        """Hold a job, given by record or id, in a state.

        Known words get their prefix, `"PAUSED"` is `JOB_STATE_PAUSED`; anything else goes out
        as it is.
        """
        found = next(one for one in reversed(self.jobs) if job in (one.id, one))
        found.pinned = on_the_wire(state) if isinstance(state, str) else state

    def expire_links(self) -> None:
        """Let every signed address given out so far answer 403."""
        self._links.expire()

    def carry_out(self, request: Request) -> tuple[Reply, Fault | None]:
        """Carry out a request; what is refused to order is refused as a gRPC gateway does."""
        reply, fault = super().carry_out(request)
        if fault is not None and fault in _NOT_DONE and not request.path.startswith(ROOT):
            refused = Refusal(_NOT_DONE[fault], f"fault to order: {fault}").reply()
            return Reply(refused.content, refused.status, reply.headers), fault
        return reply, fault

    def answer(self, request: Request) -> Reply:
        """Carry out one request."""
        if request.path.startswith(ROOT):
            return self._links.answer(request)
        try:
            self._admit(request)
            if request.path in PATHS and request.method == "POST":
                return self._chat.complete(request)
            return self._carry_out(request, place_of(request))
        except Refusal as refusal:
            return refusal.reply()
        except Exception as error:
            # A closed connection would pass for a fault to order.
            return Refusal("INTERNAL", f"mistake of the loopback server: {error!r}").reply()

    def _admit(self, request: Request) -> None:
        key, headers = self.settings.key, request.headers
        if f"Bearer {key}" != headers.get("authorization") and key != headers.get("x-api-key"):
            raise Refusal("UNAUTHENTICATED", "The API key you provided is invalid.")

    def _carry_out(self, request: Request, place: Place) -> Reply:
        one = "one" if place.id else "all"
        if place.has_checkpoints:
            one = "checkpoint" if place.checkpoint else "checkpoints"
        answer = self._routes.get(place.collection, {}).get((request.method, one, place.verb))
        if answer is None:
            raise Refusal("NOT_FOUND", f"no such path: {request.name}")
        shared = place.account == HOUSE and place.collection == "models"
        if place.account != self.settings.account and not shared:
            raise Refusal("PERMISSION_DENIED", f"account {place.account} is not yours")
        return answer(request, place)


def _routes(
    datasets: Datasets, jobs: Jobs, models: Models, deployments: Deployments
) -> Mapping[str, Mapping[_Route, _Answer]]:
    training = _of_jobs(jobs)
    return {
        "datasets": _of_datasets(datasets),
        "supervisedFineTuningJobs": training,
        "dpoJobs": training,
        "models": {
            ("GET", "all", ""): models.page,
            ("GET", "one", ""): models.get,
            ("GET", "one", "getDownloadEndpoint"): models.download_endpoint,
        },
        "deployments": {
            ("POST", "all", ""): deployments.create,
            ("GET", "all", ""): deployments.page,
            ("GET", "one", ""): deployments.get,
            ("DELETE", "one", ""): deployments.delete,
        },
        "deployedModels": {
            ("POST", "all", ""): deployments.load,
            ("GET", "all", ""): deployments.page_loaded,
            ("GET", "one", ""): deployments.get_loaded,
            ("DELETE", "one", ""): deployments.unload,
        },
    }


def _of_datasets(datasets: Datasets) -> Mapping[_Route, _Answer]:
    return {
        ("POST", "all", ""): datasets.create,
        ("GET", "all", ""): datasets.page,
        ("GET", "one", ""): datasets.get,
        ("DELETE", "one", ""): datasets.delete,
        ("POST", "one", "upload"): datasets.upload,
        ("POST", "one", "getUploadEndpoint"): datasets.upload_endpoint,
        ("POST", "one", "validateUpload"): datasets.validate,
        ("GET", "one", "getDownloadEndpoint"): datasets.download_endpoint,
    }


def _of_jobs(jobs: Jobs) -> Mapping[_Route, _Answer]:
    return {
        ("POST", "all", ""): jobs.create,
        ("POST", "all", "estimateCost"): jobs.estimate,
        ("GET", "all", ""): jobs.page,
        ("GET", "one", ""): jobs.get,
        ("DELETE", "one", ""): jobs.delete,
        ("POST", "one", "cancel"): jobs.cancel,
        ("POST", "one", "resume"): jobs.resume,
        ("GET", "one", "getMetricsFileEndpoint"): jobs.metrics_endpoint,
        ("GET", "checkpoints", ""): jobs.checkpoints,
        ("POST", "checkpoint", "promote"): jobs.promote,
    }
