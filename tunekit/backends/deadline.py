"""An httpx transport whose exchanges end by a deadline, however slowly the other side speaks.

httpx counts each read apart: a server that sends a byte a second is waited for without end.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Generator, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, cast
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)

_PORTION = 1 << 16
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
    """Let every exchange of this thread end within so many seconds; gives the point in time."""
    end = time.monotonic() + seconds
    token = _deadline.set(end)
    try:
        yield end
    finally:
        _deadline.reset(token)


class DeadlineTransport(httpx.BaseTransport):
    """HTTP/1.1 over httpcore, with proxies from the environment and no redirects."""

    def __init__(self, verify: ssl.SSLContext | None = None) -> None:
        self._ssl = verify or httpx.create_ssl_context()
        self._pools: dict[str, httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of the answer is read by whoever reads the stream."""
        pool = self._pool(request.url)
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
            extensions=request.extensions,
        )
        with _translated():
            answer = pool.handle_request(made)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=cast("dict[str, Any]", answer.extensions),
            request=request,
        )

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        proxy = "" if proxy_bypass(url.host) else getproxies().get(url.scheme, "")
        if proxy not in self._pools:
            kept: dict[str, Any] = {
                "ssl_context": self._ssl,
                "max_connections": 16,
                "keepalive_expiry": 5.0,
                "network_backend": _Network(),
            }
            self._pools[proxy] = (
                httpcore.HTTPProxy(proxy, **kept) if proxy else httpcore.ConnectionPool(**kept)
            )
        return self._pools[proxy]


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Any) -> None:
        self._parts = parts

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
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


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


def _left(timeout: float | None, kind: type[Exception]) -> float | None:
    end = _deadline.get()
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise kind("the deadline has passed")
    return left if timeout is None else min(timeout, left)


@contextlib.contextmanager
def _translated() -> Generator[None, None, None]:
    try:
        yield
    except tuple(_HTTPX) as error:
        raise _nearest(error)(str(error) or type(error).__name__) from None


def _nearest(error: Exception) -> type[Exception]:
    kinds: Iterable[type[Any]] = type(error).__mro__
    return next((_HTTPX[kind] for kind in kinds if kind in _HTTPX), httpx.TransportError)
