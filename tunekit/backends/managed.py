"""What services have in common: a key, a price, and a job that is bought once."""

from __future__ import annotations

import base64
import hashlib
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, cast

from tunekit.backends import secret
from tunekit.backends.address import base_url, is_loopback
from tunekit.backends.backend import Backend, Files, JobId
from tunekit.backends.http import Http
from tunekit.backends.journal import Upload
from tunekit.backends.outcome import Retry
from tunekit.backends.purchase import Purchase
from tunekit.backends.secret import Secret
from tunekit.backends.sent import Sent
from tunekit.data.rows import Row
from tunekit.errors import SpecError
from tunekit.events import JobState
from tunekit.planning.plan import Plan

_SECRETS = re.compile(r"(api_?key|_key|token|secret|password)s?$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Managed(Backend):
    """Train at a service; a subclass says how it is spoken to.

    Raises:
        SpecError: an option is wrong, or the environment sends the key elsewhere.
    """

    key_name: ClassVar[str]
    """The environment variable of the key."""
    url_name: ClassVar[str]
    """The environment variable of the address."""
    usual_url: ClassVar[str]
    unique_names: ClassVar[bool] = False
    """Whether the service refuses a second job under the same mark."""
    states: ClassVar[Mapping[str, JobState]]
    """From the service's own words."""

    base_url: str | None = None
    """Where the service is; by default its usual address, or the environment's on loopback."""
    model_name: str | None = None
    """The service's name of the base model, where the table is wrong or has none."""
    max_cost: float | None = None
    """The most that a job may cost, in US dollars; `max_cost=` of a call goes before."""
    api_key: str | Secret | None = field(default=None, repr=False, compare=False)
    """By default from the environment; kept nowhere."""
    poll_seconds: float = field(default=10.0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        place = base_url(self.base_url, self.url_name, self.usual_url)
        changed: dict[str, Any] = {"base_url": place}
        if self.api_key is not None:
            changed["api_key"] = secret.of(self.api_key, self.key_name)
        if is_loopback(place):
            changed["poll_seconds"] = 0.05
        if self.max_cost is not None:
            changed["max_cost"] = _budget(self.max_cost)
        for name, value in changed.items():
            object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "http"}

    @cached_property
    def http(self) -> Http:
        """The connection; opened when first used."""
        return Http(
            backend=self.name,
            base_url=self.base_url or self.usual_url,
            key=lambda: secret.of(self.api_key, self.key_name),
            key_name=self.key_name,
            retry=Retry(pause=0.005) if is_loopback(self.base_url or "") else Retry(),
        )

    @property
    def settle(self) -> float:
        """Seconds after which a job that was started is sure to be listed."""
        return 0.04 if is_loopback(self.base_url or "") else 60.0

    @property
    def pause(self) -> float:
        """Seconds between two looks at something that is being made ready."""
        return 0.02 if is_loopback(self.base_url or "") else 5.0

    def submit(self, plan: Plan, files: Files, key: str) -> JobId:
        """Buy the job of this key, once.

        Raises:
            CostNotAccepted: nobody agreed to the price.
            SubmissionUnknown: it cannot be known whether the job was started.
        """
        return Purchase(self, plan, files, key=key).make()

    def marker(self, key: str) -> str:
        """Give the mark of a run's job: at most 40 characters of `a-z0-9-`, by the key alone."""
        digest = hashlib.sha256(key.encode()).digest()[:15]
        name = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:12].strip("-")
        return f"{name or 'run'}-tk{base64.b32encode(digest).decode().lower()}"

    def state_of(self, word: Any) -> JobState:
        """Give our word for a state; one that is not in the table is never an end."""
        return self.states.get(str(word), JobState.RUNNING)

    @abstractmethod
    def native(self, row: Row, plan: Plan) -> dict[str, Any]:
        """Give a row in the service's form.

        Raises:
            Fault: the service has no form for it.
        """
        ...

    @abstractmethod
    def upload(self, file: Sent) -> str:
        """Bring a file there, unless it is there, and give its name once it is ready."""
        ...

    @abstractmethod
    def check(self, plan: Plan, uploads: Mapping[str, Upload]) -> None:
        """Ask for the limits of the model, and refuse what lies beyond; nothing is bought yet."""
        ...

    @abstractmethod
    def price(self, plan: Plan, uploads: Mapping[str, Upload]) -> float | None:
        """Ask what the job will cost, in US dollars; None where the service does not say."""
        ...

    @abstractmethod
    def create(self, plan: Plan, uploads: Mapping[str, Upload], marker: str) -> JobId:
        """Start the job, with the mark in it; sent at most once a call."""
        ...

    @abstractmethod
    def find(self, plan: Plan, marker: str) -> Sequence[JobId]:
        """Give the jobs with this mark, the oldest first."""
        ...


def require_no_secrets(extra: Mapping[str, Any], *, backend: str, instead: str) -> None:
    """Refuse native settings that hold a key: they would be kept in the run folder.

    Raises:
        SpecError: one does; `instead` says where it belongs.
    """
    for name, value in extra.items():
        if _SECRETS.search(name) and isinstance(value, str):
            raise SpecError(f"extra.{backend}.{name}: a key is not written into a spec; {instead}")
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            require_no_secrets(inner, backend=f"{backend}.{name}", instead=instead)


def _budget(given: Any) -> float:
    try:
        amount = float(given)
    except (TypeError, ValueError):
        amount = -1.0
    if not amount >= 0:
        raise SpecError(f"backend.max_cost: is an amount of US dollars, not {given!r}")
    return amount
