"""Train at Together: its API, spoken to by our own transport."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunekit.backends.answer import NotFound, Unsure
from tunekit.backends.backend import Capabilities, JobId, Recalled, Serving, Update
from tunekit.backends.http import Http
from tunekit.backends.journal import Upload
from tunekit.backends.managed import Managed
from tunekit.backends.sent import Sent
from tunekit.backends.together import account, job, result, rows, said, watch
from tunekit.backends.together.endpoints import Endpoints
from tunekit.backends.together.extra import require_sound
from tunekit.backends.together.files import Files
from tunekit.backends.together.limits import require_within
from tunekit.backends.together.request import build
from tunekit.data.profile import Profile
from tunekit.data.rows import Row
from tunekit.errors import (
    BackendError,
    CredentialsError,
    MissingExtra,
    RequestRejected,
)
from tunekit.events import JobState
from tunekit.models import Model
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune

if TYPE_CHECKING:
    from together import Together as Client

_JOBS = "/v1/fine-tunes"
_CHAT = "https://api-inference.together.ai"
_PRICED = ("n_epochs", "n_evals", "training_method", "training_type", "model", "from_checkpoint")


@dataclass(frozen=True, kw_only=True)
class Together(Managed):
    """Train at Together.

    Raises:
        SpecError: an option is wrong, or the environment sends the key elsewhere.
    """

    name: ClassVar[str] = "together"
    capabilities: ClassVar[Capabilities] = Capabilities()
    key_name: ClassVar[str] = "TOGETHER_API_KEY"
    url_name: ClassVar[str] = "TOGETHER_BASE_URL"
    usual_url: ClassVar[str] = "https://api.together.ai"
    states: ClassVar[Mapping[str, JobState]] = job.STATES

    wandb_project: str | None = None
    """Report to this project of Weights & Biases, with the key in WANDB_API_KEY."""
    wandb_entity: str | None = None
    """The team or user that the project belongs to."""
    wandb_name: str | None = None
    """What the job is called there."""
    hub_repo: str | None = None
    """Push the result to this repository of the hub, with the token in HF_TOKEN."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "speech"}

    @cached_property
    def speech(self) -> Http:
        """The connection to the models that are served."""
        if self.base_url != self.usual_url:
            return self.http
        return Http(backend=self.name, base_url=_CHAT, key=self.http.key, key_name=self.key_name)

    def client(self) -> Client:
        """Give the official SDK over our transport: deadlines, no redirects, nothing sent twice.

        Raises:
            MissingExtra: it is not installed.
            CredentialsError: there is no key.
        """
        try:
            from together import Together as Official
        except ImportError as error:
            raise MissingExtra(
                f"the official SDK cannot be imported ({error}): "
                "pip install 'tunekit-sdk[together]'",
                backend=self.name,
            ) from None
        import httpx

        key = self.http.key()
        if key is None:
            raise CredentialsError(f"together: no API key; set {self.key_name}", backend=self.name)
        usual = self.base_url == self.usual_url and not os.environ.get(self.url_name)
        return Official(
            api_key=key.reveal(),
            # Given an address, the SDK asks for answers there too.
            base_url=None if usual else self.base_url,
            max_retries=0,
            http_client=httpx.Client(
                transport=self.http.transport, follow_redirects=False, trust_env=False
            ),
        )

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        """Translate into the body that starts a job.

        Raises:
            SpecError: `extra.together` holds what it must not.
        """
        require_sound(spec.extra.get(self.name, {}))
        return build(spec, model, data, model_name=self.model_name)

    def native(self, row: Row, plan: Plan) -> dict[str, Any]:
        """Give a row in Together's form, with weights where they say which turns count."""
        return rows.native(row, plan)

    def upload(self, file: Sent) -> str:
        """Bring a file there, unless it is there, and give its id once it is validated.

        Raises:
            RequestRejected: Together finds fault with it.
        """
        return Files(http=self.http, pause=self.pause).bring(file)

    def check(self, plan: Plan, uploads: Mapping[str, Upload]) -> None:
        """Compare the request with the limits of its model, and look for the keys it needs.

        Raises:
            RequestRejected: a field is beyond them, or Together does not train the model.
            CredentialsError: a key for another account is not there.
        """
        self._accounts()
        request = _request(plan, uploads)
        start = str(request.get("from_checkpoint", "")).partition(":")[0]
        if start.startswith("ft-"):
            job.require_base(self._job(JobId(start)), None if self.model_name else plan.model)
        name = request.get("model") or start
        try:
            answer = self.http.call("GET", f"{_JOBS}/models/limits", query={"model_name": name})
        except NotFound as error:
            raise RequestRejected(
                f"{error}. Together trains no model called {name}; give the name it has there: "
                "backend: {type: together, model_name: ...}",
                backend=self.name,
            ) from None
        require_within(request, answer.object())

    def price(self, plan: Plan, uploads: Mapping[str, Upload]) -> float | None:
        """Ask what the job will cost, in US dollars; None where Together does not say."""
        request = _request(plan, uploads)
        files = {name: request[name] for name in _FILES.values() if request[name]}
        asked = {name: request[name] for name in _PRICED if name in request}
        try:
            told = self.http.post(f"{_JOBS}/estimate-price", {**asked, **files}, idempotent=True)
        except (NotFound, CredentialsError):
            # The key may be allowed to train and not to ask for prices.
            return None
        if told.get("estimation_available") is False:
            return None
        price = said.number(told, "estimated_total_price")
        return price if price is not None and 0 <= price < float("inf") else None

    def create(self, plan: Plan, uploads: Mapping[str, Upload], marker: str) -> JobId:
        """Start the job, with the mark as its suffix; sent at most once a call."""
        request = {**_request(plan, uploads), **self._accounts(), "suffix": marker}
        told = self.http.post(_JOBS, request)
        job_id = said.text(told, "id")
        if not job_id:
            raise Unsure(
                f"together: POST {_JOBS}: the answer names no job; it may have been started",
                backend=self.name,
            )
        return JobId(job_id)

    def find(self, plan: Plan, marker: str) -> Sequence[JobId]:
        """Give the jobs with this mark, the oldest first."""
        listed = said.items(self.http.get(_JOBS), "data")
        ours = [
            (said.seconds(told, "created_at"), said.text(told, "id"))
            for told in listed
            if said.text(told, "suffix") == marker
            or f"-{marker}-" in said.text(told, "model_output_name")
        ]
        return [JobId(job_id) for _, job_id in sorted(ours) if job_id]

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        """Read the state, then what the job said: an end is never told before what led to it.

        Raises:
            BackendDown: Together does not answer; nothing has changed.
        """
        told, at = self._job(job_id), watch.Cursor.read(cursor)
        word = said.text(told, "status")
        events = said.items(self.http.get(said.path(*_JOB, job_id, "events")), "data")
        first = min(at.train, at.evaluated) if said.number(told, "n_evals") else at.train
        query = {"global_step_from": first if first > 0 else None}
        where = said.path(*_JOB, job_id, "metrics")
        metrics = said.items(self.http.call("GET", where, query=query).object(), "metrics")
        new, after = watch.since(at, events, metrics, status=word)
        state = self.state_of(word)
        failed = state is JobState.FAILED
        done = state is JobState.SUCCEEDED
        return Update(
            state=state,
            native=word,
            events=new,
            cursor=str(after),
            reason=watch.reason(events, word) if failed else "",
            log=watch.log(events) if failed else "",
            hosted=said.text(told, "model_output_name") if done else "",
            used=job.used(told),
        )

    def cancel(self, job_id: JobId) -> None:
        """Ask the job to stop; harmless when it is over, or asked already."""
        try:
            self.http.call("POST", said.path(*_JOB, job_id, "cancel"), idempotent=True)
        except RequestRejected:
            word = said.text(self._job(job_id), "status")
            if not self.state_of(word).terminal and word != "cancel_requested":
                raise

    def fetch(self, job_id: JobId, into: Path) -> None:
        """Leave the adapter in `into`, or the full model.

        Raises:
            BackendError: the job has not succeeded.
            AdapterError: something else came than an adapter or a model.
        """
        result.bring(self.http, self._succeeded(job_id), into)

    def recall(self, job_id: JobId) -> Recalled:
        """Say what a job was made with; not what its rows were."""
        return job.recalled(self._job(job_id))

    def deploy(self, job_id: JobId, key: str) -> str:
        """Begin to serve the model of a job; gives `PROJECT/ENDPOINT`."""
        return self._endpoints.start(self._succeeded(job_id), self.marker(key))

    def serving(self, endpoint: str) -> Serving:
        """Say how an endpoint stands."""
        return self._endpoints.look(endpoint)

    def undeploy(self, endpoint: str) -> None:
        """Take an endpoint down; harmless when it is gone."""
        self._endpoints.stop(endpoint)

    def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, max_new_tokens: int = 128
    ) -> str:
        """Ask a served model, greedily; gives the text of its answer."""
        request = {
            "model": model,
            "messages": [dict(message) for message in messages],
            "max_tokens": max_new_tokens,
            "temperature": 0,
        }
        told = self.speech.post("/v1/chat/completions", request, idempotent=True)
        choices = said.items(told, "choices")
        if not choices:
            raise said.unreadable("it holds no answer")
        return said.text(said.part(choices[0], "message"), "content")

    @property
    def _endpoints(self) -> Endpoints:
        return Endpoints(self.http, self.pause)

    def _job(self, job_id: JobId) -> said.Told:
        account.mind()
        told = self.http.get(said.path(*_JOB, job_id))
        if not said.text(told, "status"):
            raise said.unreadable(f"it names no state of {job_id}")
        return told

    def _succeeded(self, job_id: JobId) -> said.Told:
        told = self._job(job_id)
        word = said.text(told, "status")
        if self.state_of(word) is not JobState.SUCCEEDED:
            raise BackendError(f"together: {job_id} is {word}; it has no result", backend=self.name)
        return told

    def _accounts(self) -> dict[str, Any]:
        return account.fields(
            project=self.wandb_project,
            entity=self.wandb_entity,
            name=self.wandb_name,
            hub_repo=self.hub_repo,
        )


_JOB = ("v1", "fine-tunes")
_FILES = {"train": "training_file", "validation": "validation_file"}


def _request(plan: Plan, uploads: Mapping[str, Upload]) -> dict[str, Any]:
    """Give the body with its files; one that is not there is an empty name, as in the SDK."""
    files = {name: uploads[key].id if key in uploads else "" for key, name in _FILES.items()}
    return {**plan.request, **files}
