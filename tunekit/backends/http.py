"""Calls to a service: one deadline each, no redirect with the key, one policy for trying again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from tunekit.backends.address import is_loopback, transfer
from tunekit.backends.answer import Answer, Attempt, failure
from tunekit.backends.deadline import DeadlineTransport, within
from tunekit.backends.outcome import Outcome, Retry, judge, retry_after
from tunekit.backends.request import Body, Call, plain, sealed
from tunekit.backends.secret import Secret, SignedUrl, checked, guard_logs, hide
from tunekit.errors import CredentialsError, RequestRejected

MOST_BYTES = 64 << 20
"""The longest answer that is read into memory; files are streamed."""
_HARMLESS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_READING = frozenset({"GET", "HEAD"})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

__all__ = ["MOST_BYTES", "Body", "Http"]


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
    most_bytes: int = MOST_BYTES
    """The longest answer of a call."""
    retry: Retry = field(default_factory=Retry)
    pause: Callable[[float], object] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        guard_logs()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "transport"}

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
            send: becomes JSON; a `Secret` in it becomes its text, at the last moment.
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
        if send is not None:
            body, headers = plain(send), {**(headers or {}), "Content-Type": "application/json"}
        return self._tried(
            Call(method, self._own(path, query), headers, body, key=self._key()),
            idempotent=method in _HARMLESS if idempotent is None else idempotent,
            expect=expect,
            timeout=self.timeout if timeout is None else timeout,
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
        url = SignedUrl(url)
        return self._tried(
            Call(method, self.transfer(url), headers, body),
            idempotent=True,
            expect=(),
            timeout=600.0 if timeout is None else timeout,
            as_json=False,
        )

    def transfer(self, url: str) -> str:
        """Give an address that the service names, if data may go there.

        Raises:
            RequestRejected: it may not.
        """
        url = SignedUrl(url)
        return transfer(url, backend=self.backend, on_loopback=self.on_loopback)

    @contextlib.contextmanager
    def stream(
        self, url: str, headers: Mapping[str, str], *, signed: bool, timeout: float
    ) -> Generator[httpx.Response, None, None]:
        """Open a download, once; the key goes along unless the address is signed.

        Args:
            url: signed, or one of the service's own.
            headers: beside the usual ones.
            signed: whether it carries its own permission.
            timeout: seconds until the answer begins; who reads its body sees to the pace.

        Raises:
            CredentialsError: there is no key.
            RequestRejected: the address is not one to go to.
            httpx.TransportError: the connection failed, or `timeout` seconds passed.
        """
        url = SignedUrl(url)
        key = None if signed else self._key()
        call = Call("GET", self.transfer(url) if signed else self._ours(url), headers, key=key)
        with within(timeout):
            response = self._sent(call)
        try:
            yield response
        finally:
            response.close()

    def _own(self, path: str, query: Mapping[str, Any] | None) -> str:
        """Give the address of a path; nothing in it leads to another host."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        url = f"{self.base_url}/{path.lstrip('/')}"
        with contextlib.suppress(httpx.InvalidURL):
            url = str(httpx.URL(url, params=given)) if given else url
        return self._ours(url)

    def _ours(self, url: str) -> str:
        """Give back an address that the key may go to.

        Raises:
            RequestRejected: it is not the service's.
        """
        url = SignedUrl(url)
        with contextlib.suppress(httpx.InvalidURL):
            asked, own = httpx.URL(url), httpx.URL(self.base_url)
            if (asked.scheme, asked.raw_host, asked.port) == (own.scheme, own.raw_host, own.port):
                return url
        raise RequestRejected(
            f"{self.backend}: {hide(url)!r} is not at {self.base_url}, and the key goes nowhere "
            "else; nothing was sent",
            backend=self.backend,
        )

    def _key(self) -> Secret:
        key = self.key()
        if key is None:
            raise CredentialsError(
                f"{self.backend}: no API key; set {self.key_name}", backend=self.backend
            )
        return checked(key, self.key_name)

    def _tried(
        self,
        call: Call,
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
                made = self._once(call, expect, as_json=as_json)
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
            call.name,
            made,
            backend=self.backend,
            key_name=self.key_name if call.has_key else "",
            reading=call.method in _READING,
            idempotent=idempotent,
        )

    def _once(self, call: Call, expect: tuple[int, ...], *, as_json: bool) -> Attempt:
        try:
            answer = self._exchange(call)
        except _NOT_SENT as error:
            return Attempt(outcome=Outcome.NOT_SENT, words=hide(f"no connection ({error})"))
        except httpx.LocalProtocolError:
            # Its message quotes the header.
            return Attempt(outcome=Outcome.AMBIGUOUS, words="the request cannot be written")
        except (httpx.TransportError, _TooLong) as error:
            words = hide(f"the answer broke off ({error})")
            return Attempt(outcome=Outcome.AMBIGUOUS, words=words)
        if answer.status in expect:
            return Attempt(outcome=Outcome.OK, answer=answer)
        outcome = judge(answer.status)
        if outcome is Outcome.OK and as_json and answer.body and answer.content() is None:
            return Attempt(outcome=Outcome.AMBIGUOUS, words="the answer is no JSON")
        asked = retry_after(answer.headers.get("retry-after"), answer.headers.get("date"))
        return Attempt(outcome=outcome, answer=answer, words=answer.words, asked=asked)

    def _exchange(self, call: Call) -> Answer:
        response = self._sent(call)
        try:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > self.most_bytes:
                    raise _TooLong(f"over {self.most_bytes >> 20} MB")
        except httpx.DecodingError as error:
            raise httpx.RemoteProtocolError(str(error)) from None
        finally:
            response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(body))

    def _sent(self, call: Call) -> httpx.Response:
        try:
            return self.transport.handle_request(call.request())
        except BaseException as error:
            raise sealed(error)  # noqa: B904


class _TooLong(Exception):
    """The answer is longer than any that is expected."""
