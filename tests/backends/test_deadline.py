"""Calls end by their deadline, whatever the other side does."""

from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backends.wires import KEY, Speak, Wire, asked, ends_within, service
from tunekit.backends.deadline import DeadlineTransport, paced, within
from tunekit.backends.outcome import Retry
from tunekit.errors import BackendDown
from tunekit.testing.providers.server import LoopbackServer, Reply, Request

SECONDS = 0.25
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Take the connection and say nothing."""
    over.wait()


def dripping(*first: bytes, each: bytes, every: float = 0.05) -> Speak:
    """Say something, and then a little more, for ever."""

    def speak(connection: socket.socket, over: threading.Event) -> None:
        asked(connection)
        connection.sendall(b"".join(first))
        while not over.wait(every):
            connection.sendall(each)

    return speak


def pouring(*first: bytes, each: bytes) -> Speak:
    """Say something, and then more, as fast as it is read."""

    def speak(connection: socket.socket, over: threading.Event) -> None:
        asked(connection)
        connection.sendall(b"".join(first))
        while not over.is_set():
            connection.sendall(each)

    return speak


def sipping(connection: socket.socket, over: threading.Event) -> None:
    """Read a request a kilobyte at a time."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while not over.wait(0.02):
        connection.recv(1024)


def gulping(connection: socket.socket, over: threading.Event) -> None:
    """Read a request at some 20 MB/s: no single wait is long."""
    while not over.wait(0.02):
        connection.recv(400_000)


SLOW = {
    "says nothing": silent,
    "drips the status": dripping(each=b"H"),
    "drips headers": dripping(OK, each=b"X-Drip: 1\r\n"),
    "drips one endless header": dripping(OK + b"X-Drip: ", each=b"1"),
    "drips the body": dripping(OK + b"Content-Length: 1000000\r\n\r\n{", each=b" "),
    "drips chunks": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", each=b"1\r\n \r\n"),
    "drips until it closes": dripping(OK + b"\r\n[", each=b" "),
    "goes on to say that it goes on": dripping(each=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "reads slowly": sipping,
    "reads less slowly": gulping,
}


@pytest.mark.parametrize("speak", SLOW.values(), ids=list(SLOW))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_ends_by_its_deadline(speak: Speak, method: str) -> None:
    with Wire(speak) as wire:
        http = service(wire.url, timeout=SECONDS)
        body = bytes(60_000_000) if speak in (sipping, gulping) else None
        with ends_within(SECONDS), pytest.raises(BackendDown):
            http.call(method, "/x", body=body)
        assert wire.connections == 1


def test_a_service_that_drips_its_answer_is_left_at_the_deadline() -> None:
    class Service(LoopbackServer):
        def answer(self, request: Request) -> Reply:
            return Reply({"text": "x" * 1000})

    with Service() as server:
        server.faults.order("GET /x", "drip")
        with ends_within(SECONDS), pytest.raises(BackendDown, match="broke off"):
            service(server.url, timeout=SECONDS).get("/x")


TWICE = Retry(attempts=2, pause=0.0)
POURS = {
    "headers": pouring(OK, each=b"X-More: 1\r\n" * 1000),
    "one header": pouring(OK + b"X-More: ", each=b"1" * 10_000),
    "body": pouring(OK + b"\r\n[", each=b" " * 100_000),
    "chunks": pouring(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", each=b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    ),
}


@pytest.mark.parametrize("speak", POURS.values(), ids=list(POURS))
def test_an_endless_answer_is_not_kept_in_memory(speak: Speak) -> None:
    with Wire(speak) as wire:
        http = service(
            wire.url, timeout=10.0, most_bytes=3_000_000, retry=Retry(attempts=2, pause=0)
        )
        with ends_within(3.0), pytest.raises(BackendDown, match="broke off"):
            http.get("/x")
        assert wire.connections == 2


def test_the_waits_between_attempts_count() -> None:
    with Wire(lambda connection, over: None) as wire:
        http = service(wire.url, timeout=SECONDS, retry=Retry(attempts=1000, pause=0.05))
        with ends_within(SECONDS), pytest.raises(BackendDown):
            http.get("/x")
        assert wire.connections > 1


def test_the_handshake_of_tls_counts() -> None:
    with Wire(silent) as wire:
        http = service(f"https://127.0.0.1:{wire.port}", timeout=SECONDS)
        with ends_within(SECONDS), pytest.raises(BackendDown):
            http.get("/x")


def test_a_resolver_that_does_not_answer_is_left_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait() and [])
    try:
        http = service("https://service.invalid", timeout=SECONDS)
        with ends_within(SECONDS), pytest.raises(BackendDown, match="not resolved in time"):
            http.get("/x")
    finally:
        over.set()


def test_a_dead_address_leaves_time_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    full = socket.create_server(("127.0.0.2", 0), backlog=0)
    port = full.getsockname()[1]
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.2", port))

    def both(*_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host in ("127.0.0.2", "127.0.0.1")
        ]

    class Service(LoopbackServer):
        def answer(self, request: Request) -> Reply:
            return Reply({"ok": True})

    try:
        with Service(port) as server:
            monkeypatch.setattr(socket, "getaddrinfo", both)
            http = service(server.url.replace("127.0.0.1", "localhost"), timeout=2.0)
            with ends_within(1.0):
                assert http.get("/x") == {"ok": True}
    finally:
        for opened in (*fillers, full):
            opened.close()


def test_waiting_for_one_of_the_connections_counts() -> None:
    with Wire(dripping(OK + b"Content-Length: 1000000\r\n\r\n", each=b" ")) as wire:
        transport = DeadlineTransport()
        request = httpx.Request("GET", wire.url)
        taken = [transport.handle_request(request) for _ in range(16)]
        with ends_within(SECONDS), pytest.raises(httpx.PoolTimeout), within(SECONDS):
            transport.handle_request(request)
        for response in taken:
            response.close()


def test_an_inner_deadline_never_lasts_longer_than_the_outer_one() -> None:
    with within(1.0) as outer:
        with within(60.0) as inner:
            assert inner == outer
        with within(0.1) as inner:
            assert inner < outer


def test_a_deadline_is_over_when_its_block_is() -> None:
    with Wire(pouring(OK + b"Content-Length: 2\r\n\r\n{}", each=b"")) as wire:
        with pytest.raises(httpx.TimeoutException), within(-1.0):
            DeadlineTransport().handle_request(httpx.Request("GET", wire.url))
        assert DeadlineTransport().handle_request(httpx.Request("GET", wire.url)).read() == b"{}"


def test_each_part_of_a_long_answer_has_the_whole_wait_and_a_silence_ends_it() -> None:
    def speak(connection: socket.socket, over: threading.Event) -> None:
        asked(connection)
        connection.sendall(OK + b"Content-Length: 100\r\n\r\n")
        for _ in range(10):
            over.wait(0.1)
            connection.sendall(b"x")
        over.wait()

    with Wire(speak) as wire:
        response = DeadlineTransport().handle_request(httpx.Request("GET", wire.url))
        parts, came = paced(response.iter_raw(), SECONDS), b""
        with ends_within(1.0 + SECONDS), pytest.raises(httpx.ReadTimeout):
            for part in parts:
                came += part
        assert came == b"x" * 10
        response.close()


def test_deadlines_of_threads_do_not_touch() -> None:
    with Wire(silent) as wire:
        took: dict[float, float] = {}

        def call(seconds: float) -> None:
            began = time.monotonic()
            with pytest.raises(BackendDown):
                service(wire.url, timeout=seconds).get("/x")
            took[seconds] = time.monotonic() - began

        threads = [threading.Thread(target=call, args=(seconds,)) for seconds in (0.2, 0.5, 0.8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(seconds <= spent < seconds + 1.0 for seconds, spent in took.items())
    assert len(took) == 3


def test_connections_are_closed_with_what_opened_them() -> None:
    class Service(LoopbackServer):
        def answer(self, request: Request) -> Reply:
            return Reply({})

    with Service() as server:
        service(server.url).get("/x")
        gc.collect()  # An open socket would be a warning here, and warnings are errors.


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `localhost` that only itself vouches for, and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", "-", "-out", "-"]
    done = subprocess.run([*made.split(), *named, *files], capture_output=True, check=True)
    path.write_bytes(done.stdout)
    return path


@pytest.fixture
def secured(certificate: Path) -> Iterator[Wire]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with Wire(pouring(OK + b"Content-Length: 2\r\n\r\n{}", each=b""), tls) as wire:
        yield wire


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: Wire) -> None:
    http = service(f"https://localhost:{secured.port}", timeout=5.0)
    with pytest.raises(BackendDown, match=r"no connection.*certificate verify failed"):
        http.get("/x")


def test_a_certificate_of_another_host_is_refused(secured: Wire, certificate: Path) -> None:
    transport = DeadlineTransport(ssl.create_default_context(cafile=str(certificate)))
    request = httpx.Request("GET", f"https://127.0.0.1:{secured.port}")
    with pytest.raises(httpx.ConnectError, match="mismatch"):
        transport.handle_request(request)


def test_a_certificate_that_is_vouched_for_is_taken(secured: Wire, certificate: Path) -> None:
    transport = DeadlineTransport(ssl.create_default_context(cafile=str(certificate)))
    request = httpx.Request("GET", f"https://localhost:{secured.port}")
    with within(5.0):
        assert transport.handle_request(request).read() == b"{}"


# Proxies


class Proxy(LoopbackServer):
    """Answer in the place of every host."""

    def answer(self, request: Request) -> Reply:
        return Reply({"host": request.headers["host"]})


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Proxy() as server:
        yield server


def fetched(url: str) -> httpx.Response:
    with within(5.0):
        response = DeadlineTransport().handle_request(httpx.Request("GET", url))
        response.read()
        return response


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_used(
    variable: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    assert fetched("http://service.invalid/x").json() == {"host": "service.invalid"}


def test_a_proxy_is_signed_in_to_and_may_be_written_without_its_scheme(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "Aladdin:open%20sesame@"))
    fetched("http://service.invalid/x")
    # The pair of RFC 7617, section 2.
    given = proxy.requests[0].headers["proxy-authorization"]
    assert given == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_without_the_proxy(
    host: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Service(LoopbackServer):
        def answer(self, request: Request) -> Reply:
            return Reply({"here": True})

    monkeypatch.setenv("http_proxy", proxy.url)
    with Service() as server:
        http = service(server.url.replace("127.0.0.1", host))
        assert http.get("/x") == {"here": True}
    assert proxy.requests == []


def test_a_host_that_is_excepted_is_reached_without_the_proxy(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "service.invalid")
    with pytest.raises(httpx.ConnectError):
        fetched("http://service.invalid/x")
    assert proxy.requests == []


def test_a_proxy_that_opens_no_tunnel_never_sees_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []

    def refusing(connection: socket.socket, over: threading.Event) -> None:
        heads.append(asked(connection))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with Wire(refusing) as wire:
        monkeypatch.setenv("https_proxy", wire.url)
        with pytest.raises(BackendDown, match="no connection"):
            service("https://service.invalid", timeout=5.0).get("/x")
    assert heads and all(head.startswith("CONNECT service.invalid:443 ") for head in heads)
    assert KEY not in "".join(heads)


def test_a_proxy_of_another_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://name:hunter22@127.0.0.1:1080")
    with pytest.raises(BackendDown, match="no http or https address") as failed:
        service("https://service.invalid", timeout=5.0).get("/x")
    assert "hunter22" not in str(failed.value)
