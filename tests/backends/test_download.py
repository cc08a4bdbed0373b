"""Files come home whole and as promised, or not at all."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backends.stores import ADDRESS, MB, Store, bytes_of, google_hash, halting, sha256
from tests.backends.wires import KEY, Wire, asked, ends_within, service
from tunekit.backends import download as module
from tunekit.backends.answer import NotFound
from tunekit.backends.download import Link, download
from tunekit.backends.outcome import Retry
from tunekit.errors import (
    AdapterError,
    BackendDown,
    BackendError,
    CredentialsError,
    RequestRejected,
    TunekitError,
)
from tunekit.files import Locked
from tunekit.testing.providers.downloads import NAMES, DownloadFault
from tunekit.testing.providers.server import LoopbackServer, Reply, Request

SIZES = [
    pytest.param(3 * MB, id="3 MB"),
    pytest.param(25 * MB, id="25 MB", marks=pytest.mark.slow),
]
HALF = {3 * MB: 1_500_000, 25 * MB: 10 * MB + 1}


@lru_cache(maxsize=2)
def content(size: int) -> bytes:
    return bytes_of(size)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Orders are a fault, or a fault and where; `again` is how much may be sent in all."""

    orders: tuple[DownloadFault | tuple[DownloadFault, int] | None, ...]
    again: float | None = 1.1
    error: type[BackendError] | type[AdapterError] | None = None
    known: bool = False
    """Whether the service gives size and hash."""
    google: bool = False
    links: int = 1


HALFWAY = -1
FOREVER = 8
CASES = {
    "nothing goes wrong": Case(orders=()),
    "cut before the first byte": Case(orders=(("cut", 0),)),
    "cut after the first byte": Case(orders=(("cut", 1),)),
    "cut after 1 MB": Case(orders=(("cut", MB),)),
    "cut at 9.9 MB, or just before the end": Case(orders=(("cut", 9_900_000),)),
    "cut at 10 MB and a byte, or half": Case(orders=(("cut", HALFWAY),)),
    "cut three times, also before the first byte": Case(
        orders=(("cut", MB), ("cut", 0), ("cut", MB))
    ),
    "cut every 400 kB": Case(orders=(("cut", 400_000),) * 7),
    "not now": Case(orders=("503",)),
    "not now after a cut": Case(orders=(("cut", HALFWAY), "503", "503")),
    "expired": Case(orders=("expired",), links=2),
    "expired at the second range": Case(orders=(("cut", HALFWAY), "expired"), links=2),
    "a page before the first byte": Case(orders=("html",)),
    "a page after a cut": Case(orders=(("cut", HALFWAY), "html")),
    "another part than asked": Case(orders=(("cut", HALFWAY), "wrong-range"), again=None),
    "a part of another size": Case(orders=(("cut", HALFWAY), "wrong-total"), again=None),
    "a part that says not which": Case(orders=(("cut", HALFWAY), "no-content-range"), again=None),
    "a part without its tag": Case(orders=(("cut", HALFWAY), "no-etag"), again=None),
    "a part that is encoded": Case(orders=(("cut", HALFWAY), "gzip"), again=None),
    "a part that is short": Case(orders=(("cut", HALFWAY), "short"), again=None),
    "the range ignored": Case(orders=(("cut", HALFWAY), "range-ignored"), again=2.0),
    "no such range": Case(orders=(("cut", HALFWAY), "unsatisfiable"), again=2.0),
    "no tag": Case(orders=("no-etag",)),
    "encoded as a whole": Case(orders=("gzip",)),
    "more promised than there is": Case(orders=("long",), again=None),
    "short, of a known size": Case(orders=("short",), known=True, again=2.0),
    "short for ever": Case(orders=("short",) * FOREVER, known=True, again=None, error=AdapterError),
    "nothing, for ever": Case(orders=("empty",) * FOREVER, error=AdapterError),
    "a page, for ever": Case(orders=("html",) * FOREVER, error=BackendDown),
    "a page for ever after a cut": Case(
        orders=(("cut", MB), *("html",) * FOREVER), error=BackendDown
    ),
    "another byte, of a known hash": Case(orders=("corrupted",), known=True, error=AdapterError),
    "another byte after a cut": Case(
        orders=(("cut", HALFWAY), "corrupted"), known=True, error=AdapterError
    ),
    "another byte, and the store's hash": Case(
        orders=("corrupted",), google=True, error=AdapterError
    ),
    "the store's hash, and a cut": Case(orders=(("cut", HALFWAY),), google=True),
    "cut before the first byte, for ever": Case(orders=(("cut", 0),) * FOREVER, error=BackendDown),
    "not now, for ever": Case(orders=("503",) * FOREVER, error=BackendDown),
    "expired, for ever": Case(orders=("expired",) * FOREVER, error=RequestRejected, links=4),
}


def ordered(store: Store, case: Case, size: int) -> None:
    for order in case.orders:
        fault, at = order if isinstance(order, tuple) else (order, None)
        at = HALF[size] if at == HALFWAY else at
        store.downloads.order(fault, at=at if at is None else min(at, size - 7))


def left(into: Path) -> list[str]:
    return sorted(path.name for path in into.parent.iterdir())


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_whole_or_not_at_all(case: Case, size: int, tmp_path: Path) -> None:
    into, sound = tmp_path / "adapter.safetensors", content(size)
    known: dict[str, Any] = {"size": size, "sha256": sha256(sound)} if case.known else {}
    with Store(sound, headers=google_hash(sound) if case.google else None) as store:
        ordered(store, case, size)
        if case.error is None:
            assert store.fetched(into, **known) == sound
            assert left(into) == [into.name]
        else:
            with pytest.raises(TunekitError) as failed:
                store.fetched(into, **known)
            assert type(failed.value) is case.error
            assert into.name in str(failed.value)
            assert not into.exists()
            assert left(into) == [] or case.error is not AdapterError
        assert store.links == case.links
        if case.again is not None:
            assert store.sent <= case.again * size


def test_at_least_26_cases_are_tried_and_each_fault_is_among_them() -> None:
    assert len(CASES) >= 26
    orders = [order for case in CASES.values() for order in case.orders]
    tried = {order[0] if isinstance(order, tuple) else order for order in orders}
    assert set(NAMES) - tried == {"changed"}  # It has tests of its own, below.


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "adapter.safetensors"


SOUND = bytes_of(3 * MB)
OTHER = bytes_of(3 * MB, seed=1)


@pytest.mark.parametrize("size", [500_000, 2 * MB, 3 * MB, 4 * MB])
def test_an_object_that_changes_in_between_comes_as_it_is_now(size: int, into: Path) -> None:
    becomes = bytes_of(size, seed=2)
    with Store(SOUND) as store:
        store.downloads.order("cut", at=MB)
        store.downloads.order("changed", becomes=becomes)
        assert store.fetched(into) == becomes
    assert left(into) == [into.name]


def test_an_object_that_changes_from_what_was_promised_is_refused(into: Path) -> None:
    with Store(SOUND) as store:
        store.downloads.order("cut", at=MB)
        store.downloads.order("changed", becomes=OTHER)
        with pytest.raises(AdapterError, match="others than were sent"):
            store.fetched(into, size=len(SOUND), sha256=sha256(SOUND))
    assert left(into) == []


def test_a_store_that_heeds_no_condition_cannot_mix_two_objects(into: Path) -> None:
    class Heedless(Store):
        def answer(self, request: Request) -> Reply:
            headers = {name: text for name, text in request.headers.items() if name != "if-range"}
            return super().answer(Request(*request.name.split(), request.query, headers, b""))

    with Heedless(SOUND) as store:
        store.downloads.order("cut", at=MB)
        store.downloads.order("changed", becomes=OTHER)
        assert store.fetched(into) == OTHER


@pytest.mark.parametrize("tag", ['W/"abc"', "", "abc", '"a b"'])
def test_bytes_without_a_strong_tag_are_asked_for_anew(tag: str, into: Path) -> None:
    class Weak(Store):
        def answer(self, request: Request) -> Reply:
            reply = super().answer(request)
            modified = {"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"}
            headers = {**reply.headers, **modified, "ETag": tag}
            return Reply(reply.content, reply.status, headers, reply.cut)

    with Weak(SOUND) as store:
        store.downloads.order("cut", at=MB)
        assert store.fetched(into) == SOUND
        assert store.ranges() == ["", ""]


REST = SOUND[MB:]
TAG = 'ETag: "abc"\r\n'
LIES = {
    "of a longer object": (TAG + f"Content-Range: bytes {MB}-{3 * MB}/{3 * MB + 1}", REST + b"x"),
    "of a shorter object": (
        TAG + f"Content-Range: bytes {MB}-{2 * MB}/{2 * MB + 1}",
        REST[: MB + 1],
    ),
    "shorter than it says": (TAG + f"Content-Range: bytes {MB}-{3 * MB - 1}/{3 * MB}", REST[1:]),
    "not to the end": (TAG + f"Content-Range: bytes {MB}-{2 * MB - 1}/{3 * MB}", REST[:MB]),
    "of unknown size": (TAG + f"Content-Range: bytes {MB}-{3 * MB - 1}/*", REST),
    "in two parts": (TAG + "Content-Type: multipart/byteranges; boundary=x", REST),
    "encoded": (
        TAG + f"Content-Encoding: gzip\r\nContent-Range: bytes {MB}-{3 * MB - 1}/{3 * MB}",
        REST,
    ),
    "with a weak tag": (
        f'ETag: W/"abc"\r\nContent-Range: bytes {MB}-{3 * MB - 1}/{3 * MB}',
        REST,
    ),
}


@pytest.mark.parametrize(("head", "body"), LIES.values(), ids=list(LIES))
def test_a_part_that_is_not_exactly_the_rest_is_not_joined(
    head: str, body: bytes, into: Path
) -> None:
    asked_for: list[bool] = []

    def speak(connection: Any, over: threading.Event) -> None:
        asked_for.append("range: bytes=" in asked(connection).lower())
        if asked_for[-1]:
            answer = f"HTTP/1.1 206 Partial Content\r\n{head}\r\nContent-Length: {len(body)}"
            connection.sendall(answer.encode() + b"\r\n\r\n" + body)
            return
        answer = f"HTTP/1.1 200 OK\r\n{TAG}Content-Length: {3 * MB}\r\n\r\n"
        connection.sendall(answer.encode() + SOUND[: MB if len(asked_for) == 1 else None])

    with Wire(speak) as wire:
        assert download(service(wire.url), one(wire.url), into).read_bytes() == SOUND
    assert asked_for == [False, True, False]


def test_a_cut_is_taken_up_where_it_was_on_condition_that_nothing_changed(into: Path) -> None:
    with Store(SOUND) as store:
        store.downloads.order("cut", at=MB)
        store.fetched(into)
        second = store.requests[-1].headers
        assert second["range"] == f"bytes={MB}-"
        assert second["if-range"] == store.blob.etag
        assert second["accept-encoding"] == "identity"


# What is left, and who goes on


def test_what_came_before_a_failure_is_kept_and_the_next_call_goes_on(into: Path) -> None:
    with Store(SOUND) as store:
        store.downloads.order("cut", at=MB)
        store.downloads.order(*["503"] * 3)
        with pytest.raises(BackendDown, match="try again later"):
            store.fetched(into)
        assert left(into) == [f"{into.name}.part", f"{into.name}.part.json"]
        assert store.fetched(into) == SOUND
        assert store.sent == len(SOUND)
    assert left(into) == [into.name]


def test_what_is_kept_says_nothing_of_the_address_and_is_private(into: Path) -> None:
    interrupted(into)
    kept = into.with_name(f"{into.name}.part.json")
    assert "signature" not in kept.read_text() and "http" not in kept.read_text()
    assert {path.stat().st_mode & 0o777 for path in into.parent.iterdir()} == {0o600}


def interrupted(into: Path, *, at: int = MB, known: str | None = None) -> None:
    """Leave behind what a process does that was killed."""
    with Store(SOUND) as store:
        store.downloads.order("cut", at=at)
        store.downloads.order(*["503"] * FOREVER)
        with pytest.raises(BackendDown):
            store.fetched(into, sha256=known)


def forged(into: Path, **changes: Any) -> None:
    kept = into.with_name(f"{into.name}.part.json")
    kept.write_text(json.dumps({**json.loads(kept.read_text()), **changes}))


DAMAGE: dict[str, dict[str, Any]] = {
    "another boot": {"boot": "another"},
    "another tag": {"etag": '"another"'},
    "no tag": {"etag": ""},
    "no text": {"etag": 5},
    "a smaller size": {"size": 10},
    "a text for the size": {"size": "many"},
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=list(DAMAGE))
def test_bytes_whose_origin_is_not_sure_are_not_used(change: dict[str, Any], into: Path) -> None:
    interrupted(into)
    forged(into, **change)
    with Store(SOUND) as store:
        assert store.fetched(into) == SOUND
        assert store.sent == len(SOUND)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00" * 100])
def test_a_broken_note_beside_the_bytes_is_no_note(text: str, into: Path) -> None:
    interrupted(into)
    into.with_name(f"{into.name}.part.json").write_text(text)
    with Store(SOUND) as store:
        assert store.fetched(into) == SOUND
        assert store.ranges() == [""]


def test_bytes_of_another_file_are_not_used(into: Path) -> None:
    interrupted(into, known=sha256(SOUND))
    with Store(OTHER) as store:
        assert store.fetched(into, sha256=sha256(OTHER)) == OTHER
        assert store.ranges() == [""]


def test_bytes_that_all_came_are_not_asked_for_again(into: Path) -> None:
    interrupted(into)
    with into.with_name(f"{into.name}.part").open("ab") as file:
        file.write(SOUND[MB:])
    with Store(SOUND) as store:
        assert store.fetched(into) == SOUND
        assert store.sent == 0


def test_a_note_whose_bytes_are_gone_is_taken_away(into: Path) -> None:
    interrupted(into)
    into.with_name(f"{into.name}.part").unlink()
    with Store(SOUND) as store:
        assert store.fetched(into) == SOUND
    assert left(into) == [into.name]


def test_a_file_that_is_there_stays_until_the_new_one_is_whole(into: Path) -> None:
    into.write_bytes(b"the old one")
    with Store(SOUND) as store:
        store.downloads.order(*["503"] * FOREVER)
        with pytest.raises(BackendDown):
            store.fetched(into)
        assert into.read_bytes() == b"the old one"
    with Store(SOUND) as store:
        assert store.fetched(into) == SOUND


def test_two_downloads_of_one_file_do_not_meet(into: Path) -> None:
    with halting(SOUND, MB) as (_, url):
        http = service(url)
        link = Link(url=url, signed=True)

        def renewed() -> Link:
            with pytest.raises(Locked, match="held by another process"):
                download(http, lambda: link, into)
            return link

        with pytest.raises(BackendDown):
            download(http, renewed, into, seconds=0.3)


ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from pathlib import Path
from tests.backends.wires import service
from tunekit.backends.download import Link, download
url, into = sys.argv[1:]
download(service(url), lambda: Link(url=url, signed=True), Path(into))
"""


def killed(url: str, into: Path, *, after: int) -> None:
    """Download in a process that is killed once so many bytes have come."""
    part = into.with_name(f"{into.name}.part")
    child = subprocess.Popen([sys.executable, "-c", CHILD, url, str(into)], cwd=ROOT)
    tick = threading.Event()
    try:
        while not part.exists() or part.stat().st_size < after:
            assert child.poll() is None
            tick.wait(0.002)
    finally:
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL


def goes_on(into: Path, *, after: int, sound: bytes) -> None:
    with halting(sound, after) as (store, url):
        killed(url, into, after=after)
        assert not into.exists()
        found = download(service(url), lambda: Link(url=url, signed=True), into)
        assert found.read_bytes() == sound
        assert store.sent <= 1.1 * len(sound)
        assert store.begins == [0, after]
    assert left(into) == [into.name]


@pytest.mark.parametrize("after", [65_536, 2 * MB])
def test_a_process_that_is_killed_loses_no_bytes(after: int, into: Path) -> None:
    goes_on(into, after=after, sound=SOUND)


@pytest.mark.slow
@pytest.mark.parametrize("after", [512, 100_000, *range(MB, 19 * MB, MB)])
def test_a_process_may_be_killed_at_any_point(after: int, into: Path) -> None:
    goes_on(into, after=after, sound=content(25 * MB))


# Where it may come from


def test_a_redirect_of_the_service_is_followed_without_the_key(into: Path) -> None:
    with Store(SOUND) as store:
        link = Link(url=f"{store.url}/v1/file", signed=False)
        assert download(service(store.url), lambda: link, into).read_bytes() == SOUND
        first, second = store.requests
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in second.headers


def test_an_address_that_expires_behind_the_service_is_asked_for_again(into: Path) -> None:
    with Store(SOUND) as store:
        store.downloads.order("cut", at=MB)
        store.downloads.order("expired")
        link = Link(url=f"{store.url}/v1/file", signed=False)
        assert download(service(store.url), lambda: link, into).read_bytes() == SOUND
        assert store.links == 3
        assert store.sent == len(SOUND)


class Elsewhere(LoopbackServer):
    """Send whoever asks to another place."""

    def __init__(self, *places: str, status: int = 302) -> None:
        super().__init__()
        self.places = list(places)
        self.status = status

    def answer(self, request: Request) -> Reply:
        place = self.places.pop(0) if len(self.places) > 1 else self.places[0]
        return Reply(b"", self.status, {"Location": place})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_host_gets_the_request_without_the_key(status: int, host: str, into: Path) -> None:
    with Store(SOUND) as store:
        there = store.address().replace("127.0.0.1", host)
        with Elsewhere(there, status=status) as server:
            link = Link(url=f"{server.url}/x", signed=False)
            assert download(service(server.url), lambda: link, into).read_bytes() == SOUND
        assert [KEY in str(request.headers) for request in store.requests] == [False]


def test_a_relative_redirect_is_followed(into: Path) -> None:
    with Store(SOUND) as store:
        store.address = lambda: f"..{ADDRESS}?sig=1"  # type: ignore[method-assign]
        link = Link(url=f"{store.url}/v1/file", signed=False)
        assert download(service(store.url), lambda: link, into).read_bytes() == SOUND


def test_redirects_in_a_circle_come_to_an_end(into: Path) -> None:
    with Elsewhere("/again") as server:
        link = Link(url=f"{server.url}/x", signed=False)
        with pytest.raises(RequestRejected, match="more than 5 redirects"):
            download(service(server.url), lambda: link, into)
        assert len(server.requests) == 6
    assert left(into) == []


@pytest.mark.parametrize(
    "place",
    ["http://10.0.0.1/x", "file:///etc/passwd", "http://store.example/x", "//[::/x", "\\\\x"],
)
def test_a_redirect_to_an_address_that_is_not_allowed_is_refused(place: str, into: Path) -> None:
    with Elsewhere(place) as server:
        link = Link(url=f"{server.url}/x", signed=False)
        with pytest.raises(TunekitError) as failed:
            download(service(server.url, retry=Retry(attempts=1)), lambda: link, into)
        assert isinstance(failed.value, (RequestRejected, BackendDown))
    assert left(into) == []


def test_the_key_goes_to_no_address_of_another_host(into: Path) -> None:
    with Store(SOUND) as store, Elsewhere("/") as server:
        link = Link(url=f"{store.url}/v1/file", signed=False)
        with pytest.raises(RequestRejected, match="the key goes nowhere else"):
            download(service(server.url), lambda: link, into)
        assert store.requests == []


REFUSALS: dict[int, type[BackendError]] = {
    401: CredentialsError,
    403: CredentialsError,
    404: NotFound,
    400: RequestRejected,
    410: RequestRejected,
}


@pytest.mark.parametrize("status", REFUSALS)
def test_what_the_service_refuses_is_not_asked_for_again(status: int, into: Path) -> None:
    class Refusing(LoopbackServer):
        def answer(self, request: Request) -> Reply:
            return Reply({"error": {"message": "the job has no such checkpoint"}}, status)

    with Refusing() as server:
        link = Link(url=f"{server.url}/x", signed=False)
        with pytest.raises(BackendError, match="no such checkpoint") as refused:
            download(service(server.url), lambda: link, into)
        assert type(refused.value) is REFUSALS[status]
        assert len(server.requests) == 1
    assert left(into) == []


# What may come


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><title>Sign in</title>",
        b"\xef\xbb\xbf\n <HTML><body>",
        b'{"error": {"message": "no"}}',
        b'\n{ "error": "no"}',
        b"<?xml version='1.0'?><Error><Code>SlowDown",
    ],
)
def test_a_page_or_an_error_with_status_200_is_no_file(body: bytes, into: Path) -> None:
    with Store(body) as store, pytest.raises(BackendDown, match="came in its place"):
        store.fetched(into)
    assert left(into) == []


def test_a_small_file_and_one_that_only_looks_like_an_error_later_come(into: Path) -> None:
    for body in (b"x", b'{"r": 8}', b"x" * 600 + b"<html>", b'{"step": 1, "error": 0.5}\n'):
        with Store(body) as store:
            assert store.fetched(into) == body


def test_a_file_over_the_limit_is_refused_before_it_is_read(into: Path) -> None:
    with Store(SOUND) as store, pytest.raises(AdapterError, match="at most 1,000,000"):
        download(service(store.url), store.link(), into, most_bytes=MB)
    assert left(into) == []


def test_an_encoding_that_nobody_asked_for_is_refused(into: Path) -> None:
    store = Store(SOUND, headers={"Content-Encoding": "br"})
    with store, pytest.raises(AdapterError, match="'br'"):
        store.fetched(into)
    assert left(into) == []


def chunked(*parts: bytes, head: str = "", end: bytes = b"0\r\n\r\n") -> Any:
    """Answer without saying how long it is."""

    def speak(connection: Any, over: threading.Event) -> None:
        asked(connection)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for part in parts:
            connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        connection.sendall(end)

    return speak


def one(url: str, **known: Any) -> Any:
    return lambda: Link(url=url, signed=True, **known)


def test_an_answer_of_unknown_length_comes_if_it_has_an_end(into: Path) -> None:
    with Wire(chunked(SOUND[:MB], SOUND[MB:])) as wire:
        assert download(service(wire.url), one(wire.url), into).read_bytes() == SOUND
    with Wire(chunked(SOUND[:MB], end=b"")) as wire, pytest.raises(BackendDown):
        download(service(wire.url), one(wire.url), into)
    with Wire(chunked(SOUND[:MB])) as wire, pytest.raises(BackendDown, match="ended early"):
        download(service(wire.url), one(wire.url, size=len(SOUND)), into)


@pytest.mark.parametrize("endless", [True, False])
def test_an_answer_that_is_longer_than_promised_is_refused(endless: bool, into: Path) -> None:
    with Wire(chunked(*[SOUND] * (4 if endless else 2))) as wire:
        known = {} if endless else {"size": len(SOUND)}
        with pytest.raises(AdapterError, match="more than"):
            download(service(wire.url), one(wire.url, **known), into, most_bytes=10 * MB)
    assert left(into) == []


def gzipped(*, cut: int = 0, more: bytes = b"") -> bytes:
    whole = gzip.compress(b"x" * MB)
    return whole[: len(whole) - cut] + more


@pytest.mark.parametrize("body", [gzipped(cut=20), gzipped(more=b"more"), b"no gzip at all"])
def test_a_broken_encoding_is_no_file(body: bytes, into: Path) -> None:
    wire = Wire(chunked(body, head="Content-Encoding: gzip\r\n"))
    with wire, pytest.raises(AdapterError, match="its encoding is broken"):
        download(service(wire.url), one(wire.url), into)
    assert left(into) == []


def test_a_bomb_is_stopped_at_the_limit(into: Path) -> None:
    wire = Wire(chunked(gzipped(), head="Content-Encoding: gzip\r\n"))
    with wire, pytest.raises(AdapterError, match="more than 500,000"):
        download(service(wire.url), one(wire.url), into, most_bytes=500_000)
    assert left(into) == []


# Time


def dripping(connection: Any, over: threading.Event) -> None:
    asked(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "abc"\r\nContent-Length: 100000\r\n\r\n')
    connection.sendall(bytes(1000))
    while not over.wait(0.02):
        connection.sendall(b"x")


def test_a_download_that_drips_ends_by_its_deadline_and_is_kept(into: Path) -> None:
    wire = Wire(dripping)
    with wire, ends_within(0.4), pytest.raises(BackendDown, match="goes on from there"):
        download(service(wire.url), one(wire.url), into, seconds=0.4)
    assert into.with_name(f"{into.name}.part").stat().st_size >= 1000


@pytest.mark.parametrize("after", [0, 1000])
def test_a_silence_is_given_up_and_asked_for_again(
    after: int, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE", 0.2)
    with halting(SOUND, after) as (store, url):
        with ends_within(0.4):
            assert download(service(url), one(url), into).read_bytes() == SOUND
        assert store.begins == [0, after]


def test_an_interruption_by_hand_keeps_what_came(into: Path) -> None:
    def impatient(_: float) -> None:
        raise KeyboardInterrupt

    with Store(SOUND) as store:
        store.downloads.order("cut", at=MB)
        with pytest.raises(KeyboardInterrupt):
            download(service(store.url, pause=impatient), store.link(), into)
        assert store.fetched(into) == SOUND
        assert store.sent == len(SOUND)


def test_a_link_shows_no_signature() -> None:
    link = Link(url="https://store.example/x?X-Amz-Signature=0123456789", signed=True, size=3)
    assert "0123456789" not in repr(link) + str(link) + repr(link.url)
    assert httpx.URL(link.url).params["X-Amz-Signature"] == "0123456789"
