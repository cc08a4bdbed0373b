"""Calls to a service: one deadline each, no redirect with the key, one policy for trying again."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from tunekit.backends.address import is_loopback, transfer
from tunekit.backends.answer import Answer, Attempt, failure
from tunekit.backends.deadline import DeadlineTransport, within
from tunekit.backends.outcome import Outcome, Retry, judge, retry_after
from tunekit.backends.secret import Secret, guard_logs
from tunekit.errors import CredentialsError

MOST_BYTES = 64 << 20
"""The longest answer that is read into memory; files are streamed."""
_HARMLESS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_READING = frozenset({"GET", "HEAD"})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

Body = bytes | Callable[[], Iterable[bytes]]
"""Bytes, or what gives them anew for each attempt."""


@dataclass(kw_only=True)
class Http:
    """Speak to one service.

    The key goes to `base_url` and nowhere else; signed addresses are called without it.
    """

    backend: str
    base_url: str
    key: Callable[[], Secret | None] = field(repr=False)
    key_name: str
    """The environment variable of the key, for messages."""
    timeout: float = 60.0
    """Seconds for a whole call, attempts and waits included."""
    retry: Retry = field(default_factory=Retry)
    pause: Callable[[float], object] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        guard_logs()

    @property
    def on_loopback(self) -> bool:
        """Say whether the service is on this machine."""
        return is_loopback(self.base_url)

    @cached_property
    def transport(self) -> DeadlineTransport:
        """The connections."""
        return DeadlineTransport()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read a JSON object."""
        return self.call("GET", path, query=query).object()

    def post(self, path: str, content: Any = None, *, idempotent: bool = False) -> dict[str, Any]:
        """Send JSON and read a JSON object."""
        return self.call("POST", path, send=content, idempotent=idempotent).object()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        send: Any = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        expect: tuple[int, ...] = (),
        timeout: float | None = None,
    ) -> Answer:
        """Call the service, with the key.

        Args:
            method: `GET`, `POST`, ...
            path: below `base_url`.
            query: None values are left out.
            send: becomes JSON.
            body: bytes in place of `send`.
            headers: beside the usual ones.
            idempotent: whether it may be sent again when nothing is known of the first attempt;
                by default for all but POST and PATCH.
            expect: statuses that are no fault beside 2xx; their answers need not be JSON.
            timeout: seconds for the whole call, in place of `self.timeout`.

        Raises:
            CredentialsError, QuotaError, RequestRejected, NotFound, Conflict: it was refused.
            BackendDown: no answer, and nothing was carried out or it may safely be asked again.
            Unsure: no answer, and it may have been carried out.
        """
        key = self.key()
        if key is None:
            raise CredentialsError(
                f"{self.backend}: no API key; set {self.key_name}", backend=self.backend
            )
        sent = {**(headers or {}), "Authorization": f"Bearer {key.reveal()}"}
        if send is not None:
            body, sent["Content-Type"] = json.dumps(send).encode(), "application/json"
        return self._tried(
            method,
            httpx.URL(self.base_url + path, params=_given(query)),
            body,
            sent,
            idempotent=method in _HARMLESS if idempotent is None else idempotent,
            expect=expect,
            timeout=timeout or self.timeout,
        )

    def signed(
        self,
        method: str,
        url: str,
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Call an address that carries its own permission; without the key, without redirects.

        Raises:
            RequestRejected: the address is refused, or not one to send data to.
            BackendDown: no answer.
        """
        return self._tried(
            method,
            httpx.URL(self.transfer(url)),
            body,
            dict(headers or {}),
            idempotent=True,
            expect=(),
            timeout=timeout or 600.0,
            as_json=False,
        )

    def transfer(self, url: str) -> str:
        """Give an address that the service names, if data may go there.

        Raises:
            RequestRejected: it may not.
        """
        return transfer(url, backend=self.backend, on_loopback=self.on_loopback)

    @contextlib.contextmanager
    def stream(
        self, url: str, headers: Mapping[str, str], *, signed: bool, timeout: float
    ) -> Generator[httpx.Response, None, None]:
        """Open a download, once; the key goes along unless the address is signed.

        Raises:
            httpx.TransportError: the connection failed, or `timeout` seconds passed.
        """
        sent = dict(headers)
        if not signed:
            key = self.key()
            sent["Authorization"] = f"Bearer {key.reveal() if key else ''}"
        request = httpx.Request("GET", self.transfer(url) if signed else url, headers=sent)
        with within(timeout):
            response = self.transport.handle_request(request)
            try:
                yield response
            finally:
                response.close()

    def _tried(
        self,
        method: str,
        url: httpx.URL,
        body: Body | None,
        headers: dict[str, str],
        *,
        idempotent: bool,
        expect: tuple[int, ...],
        timeout: float,
        as_json: bool = True,
    ) -> Answer:
        with within(timeout) as end:
            number = 0
            while True:
                number += 1
                request = httpx.Request(method, url, headers=headers, content=_content(body))
                made = self._once(request, expect, as_json=as_json)
                if made.outcome is Outcome.OK and made.answer is not None:
                    return made.answer
                wait = self.retry.wait(
                    made.outcome,
                    idempotent=idempotent,
                    attempt=number,
                    left=end - time.monotonic(),
                    asked=made.asked,
                )
                if wait is None:
                    break
                self.pause(wait)
        raise failure(
            f"{method} {url.path}",
            made,
            backend=self.backend,
            key_name=self.key_name,
            reading=method in _READING,
            idempotent=idempotent,
        )

    def _once(self, request: httpx.Request, expect: tuple[int, ...], *, as_json: bool) -> Attempt:
        try:
            answer = self._exchange(request)
        except _NOT_SENT as error:
            return Attempt(outcome=Outcome.NOT_SENT, words=f"no connection ({error})")
        except (httpx.TransportError, _TooLong) as error:
            return Attempt(outcome=Outcome.AMBIGUOUS, words=f"the answer broke off ({error})")
        if answer.status in expect:
            return Attempt(outcome=Outcome.OK, answer=answer)
        outcome = judge(answer.status)
        if outcome is Outcome.OK and as_json and answer.body and answer.content() is None:
            return Attempt(outcome=Outcome.AMBIGUOUS, words="the answer is no JSON")
        asked = retry_after(answer.headers.get("retry-after"), answer.headers.get("date"))
        return Attempt(outcome=outcome, answer=answer, words=answer.words, asked=asked)

    def _exchange(self, request: httpx.Request) -> Answer:
        response = self.transport.handle_request(request)
        try:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise _TooLong(f"over {MOST_BYTES >> 20} MB")
        except httpx.DecodingError as error:
            raise httpx.RemoteProtocolError(str(error)) from None
        finally:
            response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(body))


class _TooLong(Exception):
    """The answer is longer than any that is expected."""


def _content(body: Body | None) -> bytes | Iterable[bytes] | None:
    return body() if callable(body) else body


def _given(query: Mapping[str, Any] | None) -> dict[str, Any] | None:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return given or None
