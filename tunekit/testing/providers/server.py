"""An HTTP server on 127.0.0.1 that a provider's rules are written over."""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from typing_extensions import Self

from tunekit.testing.providers.faults import Fault, Faults, named

_HTML = b"<html><body><h1>Bad gateway</h1></body></html>"
_DRIP_SECONDS = 0.1


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def name(self) -> str:
        """`METHOD /path`."""
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        """Parse the body; an empty one is None."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Reply:
    """What goes out: JSON, or bytes as they are."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut: int | None = None
    """Close the connection after this many bytes of the body."""

    @property
    def body(self) -> bytes:
        """Give the bytes of the body."""
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.content is None else json.dumps(self.content).encode()


class LoopbackServer:
    """Answer requests one at a time, remember them, and fail to order.

    ```python
    with LoopbackTogether() as server:
        server.faults.order("POST /v1/fine-tunes", "lost-after")
        Together(base_url=server.url, ...)
    ```
    """

    def __init__(self, port: int = 0) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        """Everything that came, in order."""
        self.broken: list[Exception] = []
        """Faults of this server itself."""
        self.stopping = threading.Event()
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, and wait for the thread."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def called(self, name: str) -> list[Request]:
        """Give the requests whose `METHOD /path` begins so; `$` ends a whole name."""
        with self._lock:
            return [request for request in self.requests if named(request.name, name)]

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """Carry out one request; called under a lock."""
        raise NotImplementedError

    def carry_out(self, request: Request) -> tuple[Reply, Fault | None]:
        """Note the request, carry it out unless it is to be lost before, and say what fails."""
        fault = self.faults.next(request.name)
        with self._lock:
            self.requests.append(request)
            if fault in ("lost-before", "500-before", "429", "409"):
                return _refused(fault), fault
            return self._answered(request), fault

    def _answered(self, request: Request) -> Reply:
        """Answer; a fault of the stand-in itself is said aloud, and is no lost answer."""
        try:
            return self.answer(request)
        except Exception as error:
            self.broken.append(error)
            told = {"message": f"the stand-in broke: {error!r}", "type": "stand-in"}
            return Reply({"error": told}, 500)


def _refused(fault: Fault) -> Reply:
    status = {"500-before": 500, "429": 429, "409": 409}.get(fault, 500)
    error = {"message": f"fault to order: {fault}", "type": "fault", "param": None, "code": None}
    return Reply({"error": error}, status, {"Retry-After": "0"} if fault == "429" else {})


class _Server(ThreadingHTTPServer):
    owner: LoopbackServer
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Headers and body are two writes: 40 ms an answer otherwise.

    @property
    def _owner(self) -> LoopbackServer:
        return cast("_Server", self.server).owner

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        place = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command,
            place.path,
            dict(parse_qsl(place.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length),
        )
        reply, fault = self._owner.carry_out(request)
        self._send(reply, fault)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _handle

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        if fault in ("lost-before", "lost-after"):
            self.close_connection = True
            return
        if fault in ("500-after", "502-html-after", "200-html-after"):
            status = {"500-after": 500, "502-html-after": 502}.get(fault, 200)
            reply = Reply(_HTML, status, {"Content-Type": "text/html"})
        body = reply.body
        self.send_response(reply.status)
        for name, value in self._headers(reply, len(body)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "drip":
            self._drip(body)
        elif fault == "truncated-after" or reply.cut is not None:
            self.wfile.write(body[: len(body) // 2 if reply.cut is None else reply.cut])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def _headers(self, reply: Reply, length: int) -> dict[str, str]:
        kind = (
            "application/octet-stream" if isinstance(reply.content, bytes) else "application/json"
        )
        return {"Content-Type": kind, "Content-Length": str(length), **reply.headers}

    def _drip(self, body: bytes) -> None:
        self.close_connection = True
        for byte in body:
            if self._owner.stopping.wait(_DRIP_SECONDS):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
