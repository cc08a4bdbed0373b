"""One request that can be made again, and that shows no secret of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from tunekit.backends.secret import Secret, SignedUrl

Body = bytes | Callable[[], bytes | Iterable[bytes]]
"""Bytes, or what gives them anew for each attempt."""
AGENT = "tunekit"


class Call:
    """What is sent: the key joins it only while it is being sent.

    Locals in tracebacks are shown by their repr, so that nothing here has one that tells.
    """

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        key: Secret | None = None,
    ) -> None:
        self.method = method
        self._url = SignedUrl(url)
        self._headers = headers or {}
        self._body = body
        self._key = key

    @property
    def name(self) -> str:
        """`METHOD /path`."""
        return f"{self.method} {urlsplit(str(self._url)).path or '/'}"

    @property
    def has_key(self) -> bool:
        """Say whether the key goes along."""
        return self._key is not None

    def request(self) -> httpx.Request:
        """Put the request together; call it where nothing that fails keeps its frames."""
        headers = httpx.Headers({"User-Agent": AGENT, **self._headers})
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        content = self._body() if callable(self._body) else self._body
        return httpx.Request(self.method, self._url, headers=headers, content=content)


def plain(content: Any) -> Callable[[], bytes]:
    """Give what writes JSON; a `Secret` in it becomes its text only then."""
    return lambda: json.dumps(content, default=_revealed).encode()


def sealed(error: BaseException) -> BaseException:
    """Take the frames that hold keys away from an error that leaves them."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _revealed(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
