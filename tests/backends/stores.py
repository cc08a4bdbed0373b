"""A service whose files lie in a store: what it sends is counted."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.backends.wires import KEY, Wire, asked, service
from tunekit.backends.download import Link, download
from tunekit.testing.providers.downloads import Blob, Downloads
from tunekit.testing.providers.server import LoopbackServer, Reply, Request

MB = 1_000_000
ADDRESS = "/store/adapter.safetensors"


def bytes_of(size: int, *, seed: int = 0) -> bytes:
    """Give bytes that nothing compresses; the same for the same seed."""
    return random.Random(seed).randbytes(size)


class Store(LoopbackServer):
    """`/v1/file` leads to the store, whose addresses hold for one link each."""

    def __init__(self, content: bytes, *, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.blob = Blob(content)
        self.downloads = Downloads()
        self.links = 0
        self.sent = 0
        self.headers = headers or {}

    def answer(self, request: Request) -> Reply:
        if request.path == "/v1/file":
            if request.headers.get("authorization") != f"Bearer {KEY}":
                return Reply({"error": "no key"}, 401)
            return Reply(b"", 302, {"Location": self.address()})
        if "authorization" in request.headers:
            return Reply({"error": "only one auth mechanism is allowed"}, 400)
        reply = self.downloads.serve(request, self.blob)
        if reply.status in (200, 206):
            self.sent += len(reply.body) if reply.cut is None else reply.cut
        return Reply(reply.content, reply.status, {**self.headers, **reply.headers}, reply.cut)

    def address(self) -> str:
        self.links += 1
        return f"{self.url}{ADDRESS}?X-Amz-Signature=signature-{self.links}"

    def link(self, *, size: int | None = None, sha256: str | None = None) -> Callable[[], Link]:
        """Give what asks for a signed address."""
        return lambda: Link(url=self.address(), signed=True, size=size, sha256=sha256)

    def fetched(self, into: Path, **known: object) -> bytes:
        """Download the file and read it."""
        return download(service(self.url), self.link(**known), into).read_bytes()  # type: ignore[arg-type]

    def ranges(self) -> list[str]:
        """Give what was asked of the store, in order; "" is everything."""
        asked_for = [request for request in self.requests if request.path == ADDRESS]
        return [request.headers.get("range", "") for request in asked_for]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def google_hash(content: bytes) -> dict[str, str]:
    """Give the header that Google Cloud Storage sends along."""
    digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    return {"x-goog-hash": f"crc32c=AAAAAA==, md5={digest}"}


class Halting:
    """A store that sends so many bytes, and then waits until it is asked again."""

    def __init__(self, content: bytes, halt: int) -> None:
        self.content = content
        self.sent = 0
        self.begins: list[int] = []
        self._halt = halt

    def speak(self, connection: socket.socket, over: threading.Event) -> None:
        match = re.search(r"(?m)^range: bytes=(\d+)-\r$", asked(connection), re.IGNORECASE)
        first, size = int(match[1]) if match else 0, len(self.content)
        self.begins.append(first)
        head = f'ETag: "abc"\r\nContent-Length: {size - first}\r\n'
        head += f"Content-Range: bytes {first}-{size - 1}/{size}\r\n" if match else ""
        status = "206 Partial Content" if match else "200 OK"
        connection.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode())
        end = size if len(self.begins) > 1 else self._halt
        connection.sendall(self.content[first:end])
        self.sent += end - first
        if end < size:
            over.wait()


@contextlib.contextmanager
def halting(content: bytes, halt: int) -> Iterator[tuple[Halting, str]]:
    store = Halting(content, halt)
    with Wire(store.speak) as wire:
        yield store, wire.url
