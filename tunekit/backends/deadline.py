"""An httpx transport whose exchanges end by a deadline, however slowly the other side speaks.

httpx counts each read apart: a server that sends a byte a second is waited for without end.
"""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextvars import ContextVar
from functools import cached_property
from typing import Any, cast

import httpcore
import httpx

from tunekit.backends.proxy import pool, proxy_for

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)

_PORTION = 1 << 14
_Pools = dict[tuple[str, str], httpcore.ConnectionPool]
"""By scheme and proxy."""
_NAMES = (
    *("ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "ConnectError"),
    *("ReadError", "WriteError", "LocalProtocolError", "RemoteProtocolError"),
    *("UnsupportedProtocol", "ProxyError", "ProtocolError", "NetworkError", "TimeoutException"),
)
_HTTPX: dict[type[Exception], type[Exception]] = {
    getattr(httpcore, name): getattr(httpx, name) for name in _NAMES
}


@contextlib.contextmanager
def within(seconds: float) -> Generator[float, None, None]:
    """Let every exchange of this thread end within so many seconds; gives the point in time.

    One inside another never lasts longer than the outer one.
    """
    outer = _deadline.get()
    end = time.monotonic() + seconds
    end = end if outer is None else min(end, outer)
    token = _deadline.set(end)
    try:
        yield end
    finally:
        _deadline.reset(token)


def paced(parts: Iterable[bytes], seconds: float) -> Iterator[bytes]:
    """Wait at most so many seconds for each part: a long download may be slow, not silent."""
    rest = iter(parts)
    while True:
        with within(seconds):
            part = next(rest, None)
        if part is None:
            return
        yield part


class DeadlineTransport(httpx.BaseTransport):
    """HTTP/1.1 over httpcore, with proxies from the environment and no redirects."""

    def __init__(self, verify: ssl.SSLContext | None = None) -> None:
        self._verify = verify
        self._pools: _Pools = {}
        self._closed = weakref.finalize(self, _close, self._pools)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of the answer is read by whoever reads the stream."""
        made = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={**request.extensions, "timeout": _timeouts(request)},
        )
        with _translated():
            answer = self._pool(request.url).handle_request(made)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, self),
            extensions=cast("dict[str, Any]", answer.extensions),
            request=request,
        )

    def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        _close(self._pools)

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        place = (url.scheme, proxy_for(url))
        if place not in self._pools:
            self._pools[place] = pool(
                place[1],
                ssl_context=self._ssl if url.scheme == "https" else None,
                max_connections=16,
                keepalive_expiry=5.0,
                network_backend=_Network(),
            )
        return self._pools[place]

    @cached_property
    def _ssl(self) -> ssl.SSLContext:
        """Read the certificates of the authorities, which takes a while, when they are needed."""
        return self._verify or httpx.create_ssl_context()


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Any, transport: DeadlineTransport) -> None:
        self._parts = parts
        # Its connections are closed when nobody holds it.
        self._transport = transport

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._parts

    def close(self) -> None:
        self._parts.close()


class _Network(httpcore.SyncBackend):
    """Sockets whose waits are cut to what is left of the deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        found = _addresses(host, port, _left(timeout, httpcore.ConnectTimeout))
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for place, address in enumerate(found):
            left = _left(timeout, httpcore.ConnectTimeout)
            # A dead address must leave time for the next one.
            share = None if left is None else left / (len(found) - place)
            try:
                opened = super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Stream(opened)
        raise failed


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In portions: each wait of a slow reader is counted, not only the first.
        for start in range(0, len(buffer), _PORTION):
            portion = buffer[start : start + _PORTION]
            self._inner.write(portion, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _addresses(host: str, port: int, left: float | None) -> list[str]:
    """Resolve a name; a resolver cannot be interrupted, so another thread waits for it."""
    if left is None or _is_literal(host):
        return [host]
    answer: queue.Queue[list[str]] = queue.Queue()
    threading.Thread(target=lambda: answer.put(_resolved(host, port)), daemon=True).start()
    try:
        return answer.get(timeout=left)
    except queue.Empty:
        raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from None


def _is_literal(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _resolved(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]


def _timeouts(request: httpx.Request) -> dict[str, Any]:
    given: dict[str, Any] = request.extensions.get("timeout") or {}
    return {**given, "pool": _left(given.get("pool"), httpx.PoolTimeout)}


def _left(timeout: float | None, kind: type[Exception]) -> float | None:
    end = _deadline.get()
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise kind("the deadline has passed")
    return left if timeout is None else min(timeout, left)


def _close(pools: _Pools) -> None:
    while pools:
        pools.popitem()[1].close()


@contextlib.contextmanager
def _translated() -> Generator[None, None, None]:
    try:
        yield
    except tuple(_HTTPX) as error:
        raise _nearest(error)(str(error) or type(error).__name__) from None


def _nearest(error: Exception) -> type[Exception]:
    kinds: Iterable[type[Any]] = type(error).__mro__
    return next((_HTTPX[kind] for kind in kinds if kind in _HTTPX), httpx.TransportError)
