"""Nine shapes of secrets, and every way in which one could come to light."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.traceback import Traceback

from tests.backends.wires import service
from tunekit.backends import secret
from tunekit.backends.address import transfer
from tunekit.backends.download import Link, download
from tunekit.backends.http import Http
from tunekit.backends.outcome import Retry
from tunekit.backends.secret import Secret, SignedUrl, hide
from tunekit.errors import BackendError, CredentialsError
from tunekit.testing.providers.server import LoopbackServer, Reply, Request


class Canary:
    """A secret that the test itself does not show in its locals."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<canary>"


KEYS = {
    "Together": "tgp_v1_Jm3Qx9Zt7Lk2Vb8Nw4Rc6Yd1Hs5Pf0Ga",
    "Fireworks": "fw_3ZkTq8LmNv2RxWcYb7HdJs",
    "OpenAI": "sk-proj-Qw9Er8Ty7Ui6Op5As4Df3Gh2Jk1Lz0Xc_-Vb",
    "Hugging Face": "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",
    "Weights & Biases": "0123456789abcdef0123456789abcdef01234567",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.Sf1KxwRJSMeKKF2QT4fwpMeJf36POk6yJV",
    "AWS key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
SIGNATURES = {
    "S3": "X-Amz-Expires=9&X-Amz-Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5",
    "Google": "X-Goog-Expires=9&X-Goog-Signature=2a04d8cf3f3ee1c6a9b0c1d2e3f4a5b6c7d8e9f0",
    "Azure": "sv=2024-11-04&sr=b&sig=bWFkZS11cC1zaWduYXR1cmUtb2YtYXp1cmU%3D",
}


class Service(LoopbackServer):
    """Repeat the key in an error, lead to a signed address, and fail."""

    place: Canary

    def answer(self, request: Request) -> Reply:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path == "/repeats":
            return Reply({"error": {"message": f"Incorrect API key provided: {given}"}}, 401)
        if request.path == "/repeats-late":
            return Reply(b"x" * 490 + given.encode(), 400)
        if request.path == "/leads":
            return Reply({"url": self.place.text}, 302, {"Location": self.place.text})
        if request.path == "/fails":
            return Reply({"error": "not now"}, 500)
        return Reply({"ok": True, "set": given})


@pytest.fixture
def server() -> Iterator[Service]:
    with Service() as server:
        yield server


def shown(error: BaseException) -> str:
    """Show an error in every way, what it came from included, without the frame of the test."""
    seen: list[str] = []
    while error is not None:
        trace = error.__traceback__
        seen += [str(error), repr(error), repr(vars(error)), repr(error.args)]
        seen += traceback.TracebackException(
            type(error), error, trace, capture_locals=True
        ).format()
        for longest in (80, 100_000):
            seen += rich_locals(error, longest)
        with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
            seen.append(pickle.dumps(error).decode("latin-1"))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return "".join(seen)


def rich_locals(error: BaseException, longest: int) -> Iterator[str]:
    """Give what `rich.traceback` shows of the locals, without its colours, which take seconds."""
    trace = Traceback.extract(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=longest
    )
    for stack in trace.stacks:
        for frame in stack.frames:
            yield from (f"{name} = {node}" for name, node in (frame.locals or {}).items())


def failing(call: Callable[[], object]) -> str:
    try:
        call()
    except BaseException as error:
        assert isinstance(error, (BackendError, KeyboardInterrupt, TypeError))
        return shown(error)
    raise AssertionError("it did not fail")


def interrupted() -> Iterator[bytes]:
    """Be interrupted by the keyboard in the middle of sending."""
    yield b"half of "
    raise KeyboardInterrupt


def calls(http: Http, url: str, hf_token: Canary) -> list[Callable[[], object]]:
    return [
        lambda: http.get("/fails"),
        lambda: http.get("/repeats"),
        lambda: http.get("/repeats-late"),
        lambda: http.post("/fails", {"hf_api_token": Secret(hf_token.text)}),
        lambda: http.post("/repeats", {"hf_api_token": Secret(hf_token.text)}),
        lambda: http.call("POST", "/x", body=interrupted),
        lambda: download(http, lambda: Link(url=f"{url}/repeats", signed=False), Path("/tmp/x")),
        lambda: http.call("POST", "/x", send={"token": Secret(hf_token.text), "odd": object()}),
    ]


@pytest.fixture(autouse=True)
def _loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries say all they have, whatever another library made of their loggers."""
    for name in ("httpx", "httpcore", *(f"httpcore.{part}" for part in ("connection", "http11"))):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        logger.manager._clear_cache()  # type: ignore[attr-defined]
    monkeypatch.setattr(logging.root.manager, "disable", 0)


@pytest.mark.parametrize("text", KEYS.values(), ids=list(KEYS))
def test_a_key_shows_in_no_error_and_no_locals(
    text: str, server: Service, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    key, token = Canary(text), Canary(text[::-1])
    http = service(server.url, key=lambda: Secret(key.text), retry=Retry(attempts=2, pause=0.0))
    with caplog.at_level(logging.DEBUG):
        assert http.get("/x")["set"] == text
        seen = [failing(call) for call in calls(http, server.url, token)]
    assert any(text in str(request.headers) for request in server.requests)
    assert any(text[::-1] in str(request.body) for request in server.requests)
    assert "httpcore" in caplog.text and "Incorrect API key provided: ***" in seen[1]
    everything = "".join([*seen, caplog.text, *capfd.readouterr(), repr(http), str(vars(http))])
    assert text not in everything
    assert text[::-1] not in everything
    assert text[:-5] not in everything


@pytest.mark.parametrize("query", SIGNATURES.values(), ids=list(SIGNATURES))
def test_what_signs_an_address_shows_nowhere(
    query: str, server: Service, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    signature = query.rpartition("=")[2] if not query.endswith("%3D") else query[-30:]
    signed = Canary(f"{server.url}/fails?{query}")
    refused = Canary(f"ftp://store.example/x?{query}")
    http = service(server.url, retry=Retry(attempts=2, pause=0.0))
    link = Link(url=signed.text, signed=True)
    server.place = signed
    with caplog.at_level(logging.DEBUG):
        seen = [
            failing(lambda: http.signed("PUT", signed.text, body=b"rows")),
            failing(lambda: http.signed("PUT", signed.text, body=interrupted)),
            failing(lambda: http.signed("PUT", refused.text)),
            failing(lambda: http.transfer(refused.text)),
            failing(lambda: transfer(refused.text, backend="x", on_loopback=False)),
            failing(lambda: download(http, lambda: link, tmp_path / "x")),
            failing(lambda: http.get("/leads")),
        ]
        with httpx.Client(transport=http.transport) as client:
            client.get(signed.text)
    assert sum(request.path == "/fails" for request in server.requests) >= 6
    assert "HTTP Request: GET" in caplog.text
    assert "/fails?***" in caplog.text
    everything = "".join([*seen, caplog.text, repr(link), repr(http)])
    assert signature not in everything
    assert "store.example/x?***" in everything


def test_nine_shapes_or_more_are_tried() -> None:
    assert len(KEYS) + len(SIGNATURES) >= 9


def test_the_locals_of_a_careless_call_would_show() -> None:
    """The search above finds a key where there is one."""

    def careless(header: str) -> None:
        raise BackendError("no")

    key = Canary("-".join(["careless", "canary"]))
    shown_by = [failing, lambda call: "".join(caught(call))]
    for show in shown_by:
        assert key.text in show(lambda: careless(f"Bearer {key.text}"))


def caught(call: Callable[[], object]) -> Iterator[str]:
    try:
        call()
    except BackendError as error:
        yield from rich_locals(error, 80)


def test_a_key_shows_in_no_form_of_itself() -> None:
    key = Secret("tgp_v1_0123456789")
    forms = [repr(key), str(key), f"{key}", f"{key!r:>40}", repr([key]), json.dumps(str(key))]
    forms += [pickle.dumps(key).decode("latin-1"), pickle.dumps({"a": [key]}).decode("latin-1")]
    assert not [form for form in forms if "0123456789" in form]
    assert key.reveal() == "tgp_v1_0123456789"
    assert not hasattr(key, "__dict__")


def test_a_key_does_not_travel() -> None:
    key = Secret("tgp_v1_0123456789")
    assert pickle.loads(pickle.dumps(key)) is None
    assert copy.deepcopy(key) is None
    with pytest.raises(TypeError):
        json.dumps({"key": key})


def nobody() -> Secret | None:
    return None


def test_a_connection_travels_without_its_key_and_its_sockets(server: Service) -> None:
    http = service(server.url, key=nobody)
    assert http.transport is http.transport
    assert pickle.loads(pickle.dumps(http)) == http


def test_keys_are_hidden_in_text_the_longer_one_first() -> None:
    short, long = Secret("sesame-open"), Secret("sesame-open-again")
    assert hide(f"a {long.reveal()} b {short.reveal()} c") == "a *** b *** c"


def test_a_key_that_was_dropped_is_still_hidden() -> None:
    Secret("gone-with-the-wind")
    assert hide("gone-with-the-wind") == "***"


def test_a_short_key_does_not_blank_words() -> None:
    Secret("model")
    assert hide("the model is trained") == "the model is trained"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://a.example/x?sig=abc&n=1 now", "see https://a.example/x?*** now"),
        (
            "(b'Location', b'https://a.example/x?sig=abc')",
            "(b'Location', b'https://a.example/x?***')",
        ),
        ("GET /x?n=1&X-Amz-Signature=abc&m=2", "GET /x?n=1&X-Amz-Signature=***&m=2"),
        ("/x?api_key=abc", "/x?api_key=***"),
        ("/x?limit=10&after=job-1", "/x?limit=10&after=job-1"),
        ("https://a.example/x", "https://a.example/x"),
    ],
)
def test_what_signs_an_address_is_hidden_in_text(text: str, expected: str) -> None:
    assert hide(text) == expected


def test_a_signed_address_is_text_that_hides_its_query() -> None:
    url = SignedUrl("https://store.example/x?sig=0123456789")
    assert url == "https://store.example/x?sig=0123456789"
    assert repr(url) == repr(url[:60]) == "'https://store.example/x?***'"
    assert str(httpx.URL(url)) == url


def test_keys_may_be_made_while_others_are_hidden() -> None:
    over = threading.Event()
    failed: list[BaseException] = []

    def make() -> None:
        number = 0
        while not over.is_set():
            number += 1
            Secret(f"a-passing-key-{number % 500}")

    maker = threading.Thread(target=make)
    maker.start()
    try:
        for _ in range(300):
            hide("a text about nothing")
    except RuntimeError as error:
        failed.append(error)
    finally:
        over.set()
        maker.join()
    assert failed == []


def test_a_key_comes_from_the_call_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_API_KEY", " from-the-environment\n")
    given = Secret("given-as-it-is")
    assert secret.of(given, "SERVICE_API_KEY") is given
    assert revealed(secret.of("given-as-text", "SERVICE_API_KEY")) == "given-as-text"
    assert revealed(secret.of(None, "SERVICE_API_KEY")) == "from-the-environment"
    monkeypatch.delenv("SERVICE_API_KEY")
    assert secret.of(None, "SERVICE_API_KEY") is None
    assert secret.of("", "SERVICE_API_KEY") is None


def revealed(key: Secret | None) -> str:
    assert key is not None
    return key.reveal()


def test_a_key_that_no_header_can_hold_is_refused_unseen() -> None:
    bad = Canary("\n".join(["tgp_v1_first", "second"]))
    seen = failing(lambda: secret.of(bad.text, "SERVICE_API_KEY"))
    assert "SERVICE_API_KEY holds" in seen
    assert "_first\\nsecond" not in seen and "_first\nsecond" not in seen
    with pytest.raises(CredentialsError):
        secret.of(Secret(bad.text), "SERVICE_API_KEY")


def test_logs_of_an_exception_hide_the_key_too(caplog: pytest.LogCaptureFixture) -> None:
    key: Any = Secret("tgp_v1_in-a-message")
    secret.guard_logs()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("httpx").debug("sent %s to %r", key.reveal(), {"key": key.reveal()})
    assert caplog.messages == ["sent *** to {'key': '***'}"]
