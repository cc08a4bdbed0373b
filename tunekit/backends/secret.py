"""A key that does not show: not in repr, str, pickles or logs."""

from __future__ import annotations

import logging
import os
import re
from typing import Any, SupportsIndex

from tunekit.errors import CredentialsError

_LOGGERS = (
    *("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"),
    *("together", "together._base_client", "fireworks", "fireworks._base_client"),
)
"""Filters do not pass to child loggers, so each that speaks of requests has its own."""

_SIGNATURE = re.compile(r"(\w+://[^\s?'\"]+\?)[^\s'\"]+")
_SIGNING = re.compile(
    r"([?&][^=&\s]*(?:signature|sig|credential|token|key|secret)=)[^&\s'\"]+", re.IGNORECASE
)
"""What signs an address that is written without its host."""
_KEY = re.compile(r"[!-~]+")
HIDDEN = "***"
_known: set[str] = set()


class Secret:
    """Text that is used and never shown; equal to nothing but itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        # Kept for good: what is logged after a call may still hold the key of the call.
        _known.add(text)

    def reveal(self) -> str:
        """Give the text, for the one header or field that it belongs in."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle may travel: the other side takes the key from its own environment.
        return (_nothing, ())


class SignedUrl(str):
    """An address that carries its own permission: it works as text, and its repr hides the query.

    Locals in tracebacks are shown by their repr, long ones by that of their beginning.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(hide(str(self)))

    def __getitem__(self, key: SupportsIndex | slice[Any, Any, Any]) -> str:
        return SignedUrl(super().__getitem__(key))


def of(given: str | Secret | None, variable: str) -> Secret | None:
    """Take a key that was given, or the one in the environment.

    Raises:
        CredentialsError: it does not fit into a header.
    """
    if isinstance(given, Secret):
        return checked(given, variable)
    secret = Secret((given or os.environ.get(variable, "")).strip())
    given = None
    return checked(secret, variable) if secret.reveal() else None


def checked(secret: Secret, variable: str) -> Secret:
    """Give a key back that fits into a header.

    Raises:
        CredentialsError: it does not.
    """
    if _KEY.fullmatch(secret.reveal()) is None:
        raise CredentialsError(
            f"{variable} holds a space, a line break or a letter beyond ASCII, which no key does; "
            "copy the key anew"
        )
    return secret


def hide(text: str) -> str:
    """Blank out every secret of this process, and what signs an address."""
    for secret in sorted(_known, key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, HIDDEN)
    return _SIGNING.sub(rf"\1{HIDDEN}", _SIGNATURE.sub(rf"\1{HIDDEN}", text))


class _Hide(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide(record.getMessage()), ()
        return True


_HIDE = _Hide()


def guard_logs() -> None:
    """Keep secrets out of what the libraries of this process log about requests."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_HIDE)


def _nothing() -> None:
    return None
