"""How Fireworks says no: gRPC codes over HTTP, with a reason that a program can read."""

from __future__ import annotations

import re
from typing import Literal

from tunekit.testing.providers.server import Reply

Code = Literal[
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "UNAUTHENTICATED",
]

_NUMBERS: dict[Code, tuple[int, int]] = {
    "INVALID_ARGUMENT": (3, 400),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}
"""gRPC's number and the HTTP status of each code (google/rpc/code.proto)."""


class Refusal(Exception):
    """A request that is not carried out."""

    def __init__(self, code: Code, message: str, *, reason: str = "", field: str = "") -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.reason = reason
        self.field = field

    def reply(self) -> Reply:
        """Give the answer, in the shape of a gRPC gateway."""
        number, status = _NUMBERS[self.code]
        details: list[dict[str, object]] = []
        if self.reason:
            details.append(
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": self.reason,
                    "domain": "fireworks.ai",
                    "metadata": {"field": self.field} if self.field else {},
                }
            )
        return Reply({"code": number, "message": self.message, "details": details}, status)


def invalid(field: str, message: str, *, what: str = "INVALID") -> Refusal:
    """Refuse a value; the reason names the field, `LORA_RANK_INVALID`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", field).strip("_").upper()
    reason = f"{words}_{what}"
    return Refusal("INVALID_ARGUMENT", f"{field}: {message}", reason=reason, field=field)


def missing(name: str) -> Refusal:
    """Refuse a resource that is not there."""
    return Refusal("NOT_FOUND", f"{name} not found")


def taken(name: str) -> Refusal:
    """Refuse an id a second time."""
    return Refusal("ALREADY_EXISTS", f"{name} already exists")


def too_early(message: str, *, reason: str = "") -> Refusal:
    """Refuse what the state of a resource does not allow."""
    return Refusal("FAILED_PRECONDITION", message, reason=reason)
