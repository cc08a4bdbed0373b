"""What a service said, and the typed error when it said no, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tunekit.backends.outcome import Outcome
from tunekit.backends.secret import hide
from tunekit.errors import (
    BackendDown,
    BackendError,
    CredentialsError,
    QuotaError,
    RequestRejected,
)
from tunekit.printable import printable


class Unsure(BackendDown):
    """The request was sent and no answer can be believed: it may have been carried out."""


class NotFound(RequestRejected):
    """The service knows no such thing."""


class Conflict(RequestRejected):
    """The name is taken, or the thing is there already; `content` is the answer."""

    def __init__(self, message: str, *, backend: str = "", content: Any = None) -> None:
        super().__init__(message, backend=backend)
        self.content = content


@dataclass(frozen=True)
class Answer:
    """Status, headers and the whole body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)

    def content(self) -> Any:
        """Parse the body; None when it is no JSON object or list."""
        try:
            found: Any = json.loads(self.body) if self.body else None
        except (ValueError, RecursionError):
            return None
        return cast("Any", found) if isinstance(found, (dict, list)) else None

    def object(self) -> dict[str, Any]:
        """Give the body as a JSON object; a list stands under `data`."""
        found = self.content()
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
        return {"data": found} if found is not None else {}

    @property
    def words(self) -> str:
        """The service's own words for what went wrong; never a key that they repeat."""
        content = self.object()
        error: Any = content.get("error", content)
        if isinstance(error, dict):
            told = cast("dict[str, Any]", error)
            error = f"{told.get('message') or ''} {_reason(told)}".strip()
        words = str(error or self.body[:4000].decode("utf-8", "replace")).strip()
        return hide(words[:4000])[:500] or "no reason was given"


def _reason(error: dict[str, Any]) -> str:
    """Give the reason beside a message, as google.rpc.ErrorInfo holds it."""
    details: Any = error.get("details")
    listed = cast("Any", details if isinstance(details, list) else ())
    found: Any = [each for each in listed if isinstance(each, dict)]
    reasons = [str(each["reason"]) for each in found if each.get("reason")]
    return f"({', '.join(reasons)})" if reasons else ""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One exchange, and what is to be made of it."""

    outcome: Outcome
    answer: Answer | None = None
    words: str = ""
    asked: float | None = None
    """Seconds that the service asks to wait."""


def failure(
    what: str, made: Attempt, *, backend: str, key_name: str, reading: bool, idempotent: bool
) -> BackendError:
    """Give the error of a call that failed, retries included.

    Args:
        what: method and path.
        made: the last attempt.
        backend: its name.
        key_name: the environment variable of the key; none when the call went without it.
        reading: whether the call only reads.
        idempotent: whether it may be made twice.
    """
    status = made.answer.status if made.answer else 0
    code = f" (HTTP {status})" if status else ""
    told = f"{backend}: {what}: {printable(hide(made.words))}{code}"
    if status in (401, 403) and key_name:
        hint = f"{told}; check {key_name} and what the key is allowed to do"
        return CredentialsError(hint, backend=backend)
    throttled = made.outcome is Outcome.THROTTLED
    if status == 402 or (throttled and not reading):
        later = f"; the service asks to wait {made.asked:.0f} s" if made.asked else ""
        return QuotaError(told + later, backend=backend)
    if status == 409 and not reading:
        content = made.answer.content() if made.answer else None
        return Conflict(told, backend=backend, content=content)
    if made.outcome is Outcome.REJECTED:
        return (NotFound if status == 404 else RequestRejected)(told, backend=backend)
    if made.outcome is Outcome.AMBIGUOUS and not idempotent:
        return Unsure(f"{told}; it may have been carried out", backend=backend)
    return BackendDown(f"{told}; try again later", backend=backend)
