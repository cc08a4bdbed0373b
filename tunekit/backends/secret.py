"""A key that does not show: not in repr, str, pickles or logs."""

from __future__ import annotations

import logging
import os
import re
import weakref
from typing import Any

_LOGGERS = (
    *("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"),
    *("together", "together._base_client", "fireworks", "fireworks._base_client"),
)
"""Filters do not pass to child loggers, so each that speaks of requests has its own."""

_SIGNATURE = re.compile(r"(https?://[^\s?'\"]+\?)[^\s'\"]+")
HIDDEN = "***"


class Secret:
    """Text that is used and never shown; equal to nothing but itself."""

    __slots__ = ("__weakref__", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        _known.add(self)

    def reveal(self) -> str:
        """Give the text, for the one header or field that it belongs in."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle may travel: the other side takes the key from its own environment.
        return (_nothing, ())


_known: weakref.WeakSet[Secret] = weakref.WeakSet()


def of(given: str | Secret | None, variable: str) -> Secret | None:
    """Take a key that was given, or the one in the environment."""
    if isinstance(given, Secret):
        return given
    text = (given or os.environ.get(variable, "")).strip()
    return Secret(text) if text else None


def hide(text: str) -> str:
    """Blank out every secret of this process, and what signs an address."""
    for secret in tuple(_known):
        if len(secret.reveal()) >= 6:
            text = text.replace(secret.reveal(), HIDDEN)
    return _SIGNATURE.sub(rf"\1{HIDDEN}", text)


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
