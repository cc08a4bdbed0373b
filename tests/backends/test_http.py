"""Calls to a service: what each fault becomes, how often it is asked, and where the key goes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.backends.wires import KEY, Wire, asked, service
from tunekit.backends.answer import Conflict, NotFound, Unsure
from tunekit.backends.http import Http
from tunekit.backends.secret import Secret
from tunekit.errors import (
    BackendDown,
    BackendError,
    CredentialsError,
    QuotaError,
    RequestRejected,
)
from tunekit.testing.providers.faults import NAMES, Fault
from tunekit.testing.providers.server import LoopbackServer, Reply, Request

BODY_SECRET = "hf_a-token-in-a-body"
REDIRECTS = (301, 302, 303, 307, 308)


class Service(LoopbackServer):
    """Answer as the test wants; by default with what came."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: dict[str, Reply] = {}

    def answer(self, request: Request) -> Reply:
        seen = {"name": request.name, "query": dict(request.query), "items": [1, 2]}
        return self.replies.get(request.path, Reply(seen))


@pytest.fixture
def server() -> Iterator[Service]:
    with Service() as server:
        yield server


@pytest.fixture
def sink() -> Iterator[Service]:
    """Another host."""
    with Service() as server:
        yield server


BECOMES: dict[Fault, tuple[type[BackendError], int, type[BackendError], int]] = {
    "lost-before": (BackendDown, 4, Unsure, 1),
    "lost-after": (BackendDown, 4, Unsure, 1),
    "500-before": (BackendDown, 4, Unsure, 1),
    "500-after": (BackendDown, 4, Unsure, 1),
    "502-html-after": (BackendDown, 4, Unsure, 1),
    "429": (BackendDown, 4, QuotaError, 4),
    "409": (BackendDown, 4, Conflict, 1),
    "200-html-after": (BackendDown, 4, Unsure, 1),
    "truncated-after": (BackendDown, 4, Unsure, 1),
    "drip": (BackendDown, 1, Unsure, 1),
}
"""Error and calls of a GET, error and calls of a POST."""


@pytest.mark.parametrize("fault", NAMES)
def test_a_call_that_only_reads_is_tried_again(fault: Fault, server: Service) -> None:
    error, calls, *_ = BECOMES[fault]
    server.faults.weigh("GET /x", {fault: 1}, seed=0)
    with pytest.raises(BackendError) as failed:
        service(server.url, timeout=0.5 if fault == "drip" else 30.0).get("/x")
    assert type(failed.value) is error
    assert len(server.called("GET /x")) == calls
    assert failed.value.backend == "loopback"
    assert "loopback: GET /x: " in str(failed.value)


@pytest.mark.parametrize("fault", NAMES)
def test_a_purchase_is_sent_again_only_when_it_was_not_carried_out(
    fault: Fault, server: Service
) -> None:
    *_, error, calls = BECOMES[fault]
    server.faults.weigh("POST /x", {fault: 1}, seed=0)
    with pytest.raises(BackendError) as failed:
        service(server.url, timeout=0.5 if fault == "drip" else 30.0).post("/x", {"n": 1})
    assert type(failed.value) is error
    assert len(server.called("POST /x")) == calls


@pytest.mark.parametrize("fault", [name for name in NAMES if name != "drip"])
def test_a_post_that_may_be_made_twice_is_tried_again(fault: Fault, server: Service) -> None:
    server.faults.order("POST /x", fault)
    found = service(server.url).post("/x", {"n": 1}, idempotent=True)
    assert found["name"] == "POST /x"
    assert [request.json() for request in server.called("POST /x")] == [{"n": 1}] * 2


def test_a_body_that_is_given_in_parts_is_given_anew_for_each_attempt(server: Service) -> None:
    server.faults.order("PUT /x", "lost-before", "500-after", "truncated-after")
    service(server.url).call(
        "PUT", "/x", body=lambda: iter([b"one ", b"two"]), headers={"Content-Length": "7"}
    )
    assert [request.body for request in server.called("PUT /x")] == [b"one two"] * 4


def test_a_service_that_is_not_there_is_asked_again_and_named() -> None:
    with Service() as gone:
        url = gone.url
    waits: list[float] = []
    with pytest.raises(BackendDown, match=r"no connection.*try again later") as failed:
        service(url, pause=waits.append).post("/x", {})
    assert type(failed.value) is BackendDown
    assert len(waits) == 3


def test_the_wait_that_a_service_asks_for_is_kept_or_told(server: Service) -> None:
    waits: list[float] = []
    http = service(server.url, pause=waits.append, timeout=60.0)
    server.replies["/x"] = Reply({"error": "slow down"}, 429, {"Retry-After": "17"})
    with pytest.raises(QuotaError, match=r"slow down.*asks to wait 17 s"):
        http.post("/x", {})
    assert waits == [17.0] * 3
    server.replies["/x"] = Reply({"error": "slow down"}, 429, {"Retry-After": "120"})
    with pytest.raises(QuotaError, match="asks to wait 120 s"):
        http.post("/x", {})
    assert waits == [17.0] * 3


STATUSES: dict[int, type[BackendError]] = {
    400: RequestRejected,
    401: CredentialsError,
    402: QuotaError,
    403: CredentialsError,
    404: NotFound,
    405: RequestRejected,
    408: Unsure,
    409: Conflict,
    410: RequestRejected,
    413: RequestRejected,
    422: RequestRejected,
    429: QuotaError,
    500: Unsure,
    502: Unsure,
    503: Unsure,
    504: Unsure,
    529: Unsure,
}
BODIES: dict[str, tuple[Any, str]] = {
    "the vendor's error": ({"error": {"message": "no such rank"}}, "no such rank"),
    "a word": ({"error": "no such rank"}, "no such rank"),
    "a message": ({"message": "no such rank"}, "no such rank"),
    "a page": (b"<html>no such rank</html>", "<html>no such rank</html>"),
    "nothing": (b"", "no reason was given"),
    "a list": ([1], "1"),
    "half of it": (b'{"error": {"mess', '{"error": {"mess'),
    "null": (b"null", "null"),
    "bytes": (b"\xff\xfe\x00\x1b[31mno such rank", "no such rank"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_error_and_keeps_the_words_of_the_service(
    status: int, server: Service
) -> None:
    for body, words in BODIES.values():
        server.replies["/x"] = Reply(body, status)
        with pytest.raises(BackendError) as failed:
            service(server.url).post("/x", {})
        assert type(failed.value) is STATUSES[status]
        assert words in str(failed.value)
        assert f"(HTTP {status})" in str(failed.value)
        assert "\x1b" not in str(failed.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_variable(status: int, server: Service) -> None:
    server.replies["/x"] = Reply({"error": "no"}, status)
    with pytest.raises(CredentialsError, match="check LOOPBACK_API_KEY"):
        service(server.url).get("/x")
    with pytest.raises(RequestRejected, match="GET /x: no"):
        service(server.url).signed("GET", f"{server.url}/x")


def test_a_status_that_is_expected_is_an_answer(server: Service) -> None:
    server.replies["/x"] = Reply(b"<html>", 302, {"X-File-Id": "file-1"})
    answer = service(server.url).call("POST", "/x", expect=(302,))
    assert (answer.status, answer.headers["x-file-id"]) == (302, "file-1")


def test_the_conflict_holds_what_the_service_says(server: Service) -> None:
    server.replies["/x"] = Reply({"id": "job-7"}, 409)
    with pytest.raises(Conflict) as taken:
        service(server.url).post("/x", {})
    assert taken.value.content == {"id": "job-7"}
    assert pickle.loads(pickle.dumps(taken.value)).content == {"id": "job-7"}


def test_an_answer_is_an_object_and_a_list_stands_under_data(server: Service) -> None:
    server.replies["/list"] = Reply([1, 2])
    server.replies["/none"] = Reply(None, 204)
    http = service(server.url + "/")
    assert http.get("/x", a=1, b=None)["query"] == {"a": "1"}
    assert http.get("/list") == {"data": [1, 2]}
    assert http.call("DELETE", "/none").object() == {}


def test_a_missing_key_is_told_before_anything_is_sent(server: Service) -> None:
    with pytest.raises(CredentialsError, match="set LOOPBACK_API_KEY"):
        service(server.url, key=lambda: None).get("/x")
    assert server.requests == []


@pytest.mark.parametrize("text", ["key with spaces", "line\nbreak", "schlüssel-lang", "\x7f-del"])
def test_a_key_that_fits_into_no_header_is_refused_and_not_shown(
    text: str, server: Service
) -> None:
    with pytest.raises(CredentialsError, match="LOOPBACK_API_KEY holds") as refused:
        service(server.url, key=lambda: Secret(text)).get("/x")
    assert text not in str(refused.value)
    assert server.requests == []


def test_a_header_that_cannot_be_written_is_not_quoted(server: Service) -> None:
    with pytest.raises(Unsure, match="the request cannot be written") as failed:
        service(server.url).call("POST", "/x", headers={"X-Token": "hidden\nhidden"})
    assert "hidden" not in str(failed.value)
    assert server.requests == []


def test_a_new_key_is_used_by_the_next_call(server: Service) -> None:
    keys = iter(["first-key", "second-key"])
    http = service(server.url, key=lambda: Secret(next(keys)))
    http.get("/x")
    http.get("/x")
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first-key", "Bearer second-key"]


# Where the key goes


def read(http: Http, url: str, *, signed: bool) -> None:
    with http.stream(url, {}, signed=signed, timeout=5.0) as response:
        response.read()


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_no_redirect_is_followed_with_the_key_or_the_body(
    status: int, host: str, method: str, server: Service, sink: Service
) -> None:
    there = sink.url.replace("127.0.0.1", host) + "/steal"
    server.replies["/x"] = Reply(b"", status, {"Location": there})
    send = None if method == "GET" else {"token": Secret(BODY_SECRET)}
    with pytest.raises(RequestRejected, match=f"HTTP {status}"):
        service(server.url).call(method, "/x", send=send)
    assert len(server.requests) == 1
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert sink.requests == []


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_signed_address_is_called_without_the_key_and_not_followed(
    status: int, server: Service, sink: Service
) -> None:
    server.replies["/x"] = Reply(b"", status, {"Location": f"{sink.url}/steal"})
    with pytest.raises(RequestRejected):
        service(server.url).signed("PUT", f"{server.url}/x?sig=1", body=b"rows")
    assert "authorization" not in server.requests[0].headers
    assert sink.requests == []


@pytest.mark.parametrize("path", ["@{}/x", "//{}/x", "/@{}/x", "http://{}/x", "/\\{}/x", "#@{}/x"])
def test_no_path_leads_to_another_host(path: str, server: Service, sink: Service) -> None:
    place = sink.url.removeprefix("http://")
    service(server.url).get(path.format(place))
    assert len(server.requests) == 1
    assert sink.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"])
def test_a_download_takes_the_key_to_its_own_host_only(
    host: str, server: Service, sink: Service
) -> None:
    url = sink.url.replace("127.0.0.1", host) + "/x"
    http = service(server.url)
    with pytest.raises(RequestRejected, match="the key goes nowhere else"):
        read(http, url, signed=False)
    assert sink.requests == []
    read(http, f"{server.url}/x", signed=False)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_same_machine_under_another_name_or_port_is_another_host(server: Service) -> None:
    other = server.url.replace("127.0.0.1", "localhost")
    with pytest.raises(RequestRejected):
        read(service(server.url), f"{other}/x", signed=False)
    assert server.requests == []


def test_a_public_service_names_no_address_on_this_machine(sink: Service) -> None:
    http = service("https://service.invalid")
    for url in (f"{sink.url}/x", sink.url.replace("http:", "https:") + "/x"):
        with pytest.raises(RequestRejected, match="nothing was sent"):
            http.signed("PUT", url, body=b"rows")
        with pytest.raises(RequestRejected, match="nothing was sent"):
            read(http, url, signed=True)
    assert sink.requests == []


def test_the_key_stays_away_from_an_address_that_cannot_be_read(server: Service) -> None:
    with pytest.raises(RequestRejected):
        service(server.url).get("/\x00\n")
    assert server.requests == []


# Answers that are compressed or broken


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_broken_encoding_is_an_answer_that_cannot_be_believed(
    encoding: str, server: Service
) -> None:
    server.replies["/x"] = Reply(b"\x1f\x8bnot at all", 200, {"Content-Encoding": encoding})
    with pytest.raises(Unsure):
        service(server.url).post("/x", {})


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"9" * 10_000,
        b"HTTP/1.1 99 Odd\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_http_or_no_json_is_not_believed(said: bytes) -> None:
    def speak(connection: Any, over: Any) -> None:
        asked(connection)
        connection.sendall(said)

    with Wire(speak) as wire:
        with pytest.raises(Unsure):
            service(wire.url).call("POST", "/x")
        assert wire.connections == 1


def test_an_error_has_no_trace_of_the_libraries_below(server: Service) -> None:
    server.faults.order("POST /x", "lost-after")
    with pytest.raises(Unsure) as failed:
        service(server.url).post("/x", {})
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None
    modules = {entry.frame.f_globals["__name__"] for entry in failed.traceback}
    assert not {name for name in modules if name.startswith(("httpx", "httpcore", "h11"))}


def test_json_is_written_as_json_and_a_secret_in_it_as_its_text(server: Service) -> None:
    service(server.url).post("/x", {"token": Secret(BODY_SECRET), "n": [1, None, "ü"]})
    (request,) = server.requests
    assert json.loads(request.body) == {"token": BODY_SECRET, "n": [1, None, "ü"]}
    assert request.headers["content-type"] == "application/json"


def test_the_transport_serves_other_clients_of_httpx(server: Service) -> None:
    with httpx.Client(transport=service(server.url).transport) as client:
        assert client.get(f"{server.url}/x").json()["name"] == "GET /x"
