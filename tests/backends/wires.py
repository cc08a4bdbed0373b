"""Servers that speak bytes instead of HTTP, and calls to them that are timed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tunekit.backends.http import Http
from tunekit.backends.outcome import Retry
from tunekit.backends.secret import Secret

KEY = "tgp_v1_a-key-of-the-tests"
QUICK = Retry(pause=0.001)

Speak = Callable[[socket.socket, threading.Event], None]


class Wire:
    """Accept connections and let a function speak on each, until the test is over."""

    def __init__(self, speak: Speak, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._speak = speak
        self._tls = tls
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept)

    @property
    def port(self) -> int:
        return self._server.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _accept(self) -> None:
        speaking = []
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                speaking.append(threading.Thread(target=self._serve, args=(connection,)))
                speaking[-1].start()
        for thread in speaking:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(connection):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with contextlib.closing(connection):
                self._speak(connection, self._over)


def asked(connection: socket.socket) -> str:
    """Read the head of a request."""
    head = b""
    while b"\r\n\r\n" not in head and (block := connection.recv(65536)):
        head += block
    return head.decode("latin-1")


def service(url: str, **settings: Any) -> Http:
    """Speak to a service on this machine, without long waits."""
    given: dict[str, Any] = {"key": lambda: Secret(KEY), "retry": QUICK, **settings}
    return Http(backend="loopback", base_url=url, key_name="LOOPBACK_API_KEY", **given)


@contextlib.contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Fail unless the block ends less than a second after it should."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    OVERSHOOTS.append(took - seconds)
    assert took < seconds + 1.0


OVERSHOOTS: list[float] = []
