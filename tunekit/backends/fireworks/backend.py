"""The backend: verbs, each a few calls to what lies beside this file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import httpx

from tunekit.backends import secret
from tunekit.backends.backend import Capabilities, Files, JobId, Recalled, Serving, Update
from tunekit.backends.deadline import DeadlineTransport
from tunekit.backends.fireworks import job as jobs
from tunekit.backends.fireworks import limits, metrics, recall, request, result, rows
from tunekit.backends.fireworks.account import Account
from tunekit.backends.fireworks.datasets import Datasets
from tunekit.backends.fireworks.deployments import Deployments
from tunekit.backends.fireworks.look import look
from tunekit.backends.fireworks.states import STATES, native
from tunekit.backends.journal import Upload
from tunekit.backends.managed import Managed
from tunekit.backends.sent import Sent
from tunekit.data.profile import Profile
from tunekit.data.rows import Row
from tunekit.errors import CredentialsError, MissingExtra, RequestRejected, SpecError
from tunekit.events import JobState
from tunekit.models import Model
from tunekit.planning.plan import Plan
from tunekit.spec.finetune import FineTune

_WANDB_KEY = "WANDB_API_KEY"
_ACCOUNT = "FIREWORKS_ACCOUNT_ID"


@dataclass(frozen=True, kw_only=True)
class Fireworks(Managed):
    """Train at Fireworks.

    Raises:
        SpecError: an option is wrong, or the environment sends the key elsewhere.
    """

    name: ClassVar[str] = "fireworks"
    capabilities: ClassVar[Capabilities] = Capabilities(resume=True)
    key_name: ClassVar[str] = "FIREWORKS_API_KEY"
    url_name: ClassVar[str] = "FIREWORKS_BASE_URL"
    usual_url: ClassVar[str] = "https://api.fireworks.ai"
    unique_names: ClassVar[bool] = True
    states: ClassVar[Mapping[str, JobState]] = STATES

    account_id: str | None = None
    """The account, without `accounts/`; by default FIREWORKS_ACCOUNT_ID."""
    region: str | None = None
    """Where to train, in Fireworks' words: `US_IOWA_1`, ..."""
    wandb_project: str | None = None
    """Report to Weights & Biases; the key is WANDB_API_KEY when the job is sent."""
    wandb_entity: str | None = None
    deployment_shape: str = "default"
    """Hardware that `deploy` asks for."""
    multi_lora: bool = False
    """Deploy adapters beside each other on one base, not each merged on its own hardware."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.account_id is not None and not re.fullmatch(r"[a-z0-9-]{1,63}", self.account_id):
            raise SpecError(
                f"backend.account_id: {self.account_id!r} is no account; give its bare id, "
                "of a-z, 0-9 and '-'"
            )
        if self.wandb_entity and not self.wandb_project:
            raise SpecError("backend.wandb_entity: says whose; wandb_project must say which")

    @property
    def account(self) -> Account:
        """The account that is spoken for.

        Raises:
            CredentialsError: nothing says which.
        """
        return self._account(self.account_id or os.environ.get(_ACCOUNT, "").strip())

    def client(self) -> Any:
        """Give the official SDK, `fireworks.Fireworks`, on our connections and without retries.

        Raises:
            MissingExtra: it is not installed.
            CredentialsError: there is no key, or no account.
        """
        try:
            official: Any = import_module("fireworks")
        except ImportError:
            raise MissingExtra(
                "the SDK of Fireworks is not installed: pip install 'tunekit-sdk[fireworks]'",
                backend=self.name,
            ) from None
        key = secret.of(self.api_key, self.key_name)
        if key is None:
            raise CredentialsError(f"fireworks: no API key; set {self.key_name}", backend=self.name)
        return official.Fireworks(
            api_key=key.reveal(),
            account_id=self.account.id,
            base_url=self.base_url,
            max_retries=0,
            http_client=httpx.Client(transport=DeadlineTransport(), follow_redirects=False),
        )

    def plan(self, spec: FineTune, model: Model, data: Profile) -> Plan:
        """Translate into the body of a job; dataset, output model and keys join it when sent."""
        wandb = {"project": self.wandb_project, "entity": self.wandb_entity}
        options = request.Options(
            model_name=self.model_name,
            region=self.region,
            wandb={name: value for name, value in wandb.items() if value},
        )
        return request.build(spec, model, data, options)

    def submit(self, plan: Plan, files: Files, key: str) -> JobId:
        """Buy the job of this key, once; held-out rows go along where Fireworks takes them."""
        if not look(plan.request, "rows", "validation"):
            files = replace(files, validation=None, validation_sha256=None)
        return super().submit(plan, files, key)

    def native(self, row: Row, plan: Plan) -> dict[str, Any]:
        """Give a row in Fireworks' form, with the weights that the plan asks for."""
        return rows.native(row, plan.request["rows"])

    def upload(self, file: Sent) -> str:
        """Make a dataset named by the content, unless it is there."""
        return Datasets(self.account, self.pause).upload(file)

    def check(self, plan: Plan, uploads: Mapping[str, Upload]) -> None:
        """Ask what the model allows; a missing key of Weights & Biases is said here too."""
        account = self.account
        settings = jobs.started(account, jobs.config(plan.request["body"]))
        limits.check(account, settings, plan.request.get("base"))
        self._with_wandb(plan.request["body"])

    def price(self, plan: Plan, uploads: Mapping[str, Upload]) -> float | None:
        """Ask what the job will cost; the mark has no part in that."""
        account, collection = self.account, plan.request["collection"]
        return jobs.estimate(account, collection, jobs.body(account, plan, uploads, "estimate"))

    def create(self, plan: Plan, uploads: Mapping[str, Upload], marker: str) -> JobId:
        """Start the job, with the mark as its id and as that of its model."""
        account, collection = self.account, plan.request["collection"]
        content = self._with_wandb(jobs.body(account, plan, uploads, marker))
        return JobId(jobs.create(account, collection, marker, content))

    def find(self, plan: Plan, marker: str) -> Sequence[JobId]:
        """Look under the id that the job would have."""
        collection = plan.request["collection"]
        found = self.account.find(self.account.name(collection, marker))
        return [] if found is None else [JobId(f"{collection}/{marker}")]

    def poll(self, job_id: JobId, cursor: str | None) -> Update:
        """Read the job, and then its metrics file, which is whole once the job is over."""
        account, name = self._place(job_id)
        job = account.get(name)
        word = native(job.get("state"))
        state = self.state_of(word)
        events, after = metrics.read(account, name, job, cursor, over=state.terminal)
        return Update(
            state=state,
            native=word,
            events=events,
            cursor=after,
            reason=jobs.reason(job, word) if state is JobState.FAILED else "",
            hosted=jobs.output(job) if state is JobState.SUCCEEDED else "",
            used=jobs.used(job),
        )

    def cancel(self, job_id: JobId) -> None:
        """Ask the job to stop; harmless when it is over."""
        account, name = self._place(job_id)
        try:
            account.act(name, "cancel")
        except RequestRejected:
            if not self._state(account.get(name)).terminal:
                raise

    def resume(self, job_id: JobId) -> JobId:
        """Start the same job again, from its last checkpoint."""
        account, name = self._place(job_id)
        try:
            account.act(name, "resume")
        except RequestRejected:
            # An answer that was lost may have resumed it.
            if self._state(account.get(name)) not in (JobState.QUEUED, JobState.RUNNING):
                raise
        return job_id

    def fetch(self, job_id: JobId, into: Path) -> None:
        """Fetch the files of the model, one by one."""
        account, job = self._succeeded(job_id)
        result.bring(account, jobs.output(job), into, pause=self.pause)

    def recall(self, job_id: JobId) -> Recalled:
        """Say what a job was made with; the base of a warm start is looked up."""
        account, name = self._place(job_id)
        job = account.get(name)
        settings = jobs.config(job)
        base = settings.get("baseModel")
        if not base:
            warm = account.get(str(settings.get("warmStartFrom")))
            base = look(warm, "peftDetails", "baseModel") or settings.get("warmStartFrom")
        return recall.recalled(job, collection=jobs.place_of(job_id).collection, base=str(base))

    def deploy(self, job_id: JobId, key: str) -> str:
        """Serve the model of a job that has succeeded: at most one deployment per key."""
        account, job = self._succeeded(job_id)
        model, here = jobs.output(job), self._deployments(account)
        if not self.multi_lora:
            return here.merged(model, self.marker(key))
        base = look(account.get(model), "peftDetails", "baseModel")
        if not isinstance(base, str):
            raise RequestRejected(
                f"fireworks: {model} is no adapter; deploy it with multi_lora=False",
                backend=self.name,
            )
        return here.beside(model, base)

    def serving(self, endpoint: str) -> Serving:
        """Say how an endpoint stands; a ready one may still scale up at its first call."""
        return self._deployments(self.account).serving(endpoint)

    def undeploy(self, endpoint: str) -> None:
        """Give the hardware back; harmless when it is gone."""
        self._deployments(self.account).stop(endpoint)

    def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, max_new_tokens: int = 128
    ) -> str:
        """Ask a served model, greedily; waits while its hardware scales up."""
        return self._deployments(self.account).chat(model, messages, most=max_new_tokens)

    def _account(self, account_id: str) -> Account:
        if not account_id:
            raise CredentialsError(
                f"fireworks: no account; set {_ACCOUNT}, or account_id in the backend's options, "
                "to its bare id",
                backend=self.name,
            )
        return Account(self.http, account_id.removeprefix("accounts/"))

    def _place(self, job_id: JobId) -> tuple[Account, str]:
        place = jobs.place_of(job_id)
        account = self._account(place.account) if place.account else self.account
        return account, account.name(place.collection, place.key)

    def _state(self, job: Mapping[str, Any]) -> JobState:
        return self.state_of(native(job.get("state")))

    def _succeeded(self, job_id: JobId) -> tuple[Account, Mapping[str, Any]]:
        account, name = self._place(job_id)
        job = account.get(name)
        if self._state(job) is not JobState.SUCCEEDED:
            raise RequestRejected(
                f"fireworks: {name} is {native(job.get('state'))}; there is a model only when it "
                "has succeeded",
                backend=self.name,
            )
        return account, job

    def _deployments(self, account: Account) -> Deployments:
        return Deployments(account, self.pause, self.deployment_shape)

    def _with_wandb(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Add the key of Weights & Biases, where the job reports there."""
        config = content.get("wandbConfig")
        if not config:
            return dict(content)
        key = secret.of(None, _WANDB_KEY)
        if key is None:
            raise CredentialsError(
                f"fireworks: wandb_project is set and {_WANDB_KEY} is not; nothing was bought",
                backend=self.name,
            )
        return {**content, "wandbConfig": {**config, "apiKey": key}}
