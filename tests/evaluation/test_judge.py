"""A judge over a real connection: both orders, and what is made of its words."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tunekit.backends.judging import added, asks
from tunekit.errors import BackendDown, CredentialsError, SpecError
from tunekit.evaluation.compare import Comparison, Measurement
from tunekit.evaluation.judge import Judged, judged, read
from tunekit.evaluation.verdict import Difference

Chat = list[dict[str, str]]


def first_is(word: str) -> Callable[[Chat], str]:
    """A judge that prefers the answer with a word in it, else says C."""

    def verdict(chat: Chat) -> str:
        first, second = chat[1]["content"].split("Answer A:\n")[1].split("\n\nAnswer B:\n")
        if (word in first) == (word in second):
            return "C"
        return "A" if word in first else "B"

    return verdict


def count(
    ask: Callable[[Chat], str], base: list[str], tuned: list[str]
) -> tuple[Judged, Difference | None]:
    prompts = [f"prompt {n}" for n in range(len(base))]
    return judged(ask, model="m", question="Which?", prompts=prompts, base=base, tuned=tuned)


def test_the_better_answer_wins_in_both_orders() -> None:
    found, share = count(first_is("good"), ["bad"] * 8 + ["good"] * 2, ["good"] * 10)
    assert (found.won, found.lost, found.tied) == (8, 0, 2)
    assert (found.consistency, found.unread) == (1.0, 0)
    assert share is not None
    assert (share.base, share.tuned, share.verdict) == (pytest.approx(0.1), 0.9, "improved")


def test_a_judge_that_always_takes_the_first_answer_decides_nothing() -> None:
    found, share = count(lambda chat: "A", ["bad"] * 10, ["good"] * 10)
    assert (found.won, found.lost, found.tied, found.consistency) == (0, 0, 10, 0.0)
    assert share is not None
    assert share.verdict == "no detectable change"


def test_a_verdict_in_one_order_alone_is_a_tie() -> None:
    words = iter(["B", "C"] * 6)
    found, _ = count(lambda chat: next(words), ["x"] * 6, ["y"] * 6)
    assert (found.won, found.tied, found.consistency) == (0, 6, 0.0)


def test_length_is_taken_out_by_pairs_of_like_length() -> None:
    long = "good " * 9

    def longer(chat: Chat) -> str:
        first, second = chat[1]["content"].split("Answer A:\n")[1].split("\n\nAnswer B:\n")
        return "C" if len(first) == len(second) else "A" if len(first) > len(second) else "B"

    found, _ = count(longer, ["good"] * 6 + ["same"] * 4, [long] * 6 + ["alik"] * 4)
    assert (found.won, found.alike, found.won_alike) == (6, 4, 0.5)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("A", "first"),
        (" B.\n", "second"),
        ("**C**", "tie"),
        ("Answer: B", "second"),
        ("neither", None),
        ("", None),
        ("BA", None),
    ],
)
def test_a_verdict_is_a_letter_that_stands_alone(said: str, word: str | None) -> None:
    assert read(said) == word


@contextmanager
def serving(answer: Callable[[Chat], Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An OpenAI-compatible chat service on this machine."""
    seen: list[dict[str, Any]] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers["Authorization"]
            seen.append({"path": self.path, "key": key, **body})
            made = answer(body["messages"])
            content = {"choices": [{"message": made}]} if "content" in made else made
            text = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wanted(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "model": "judge-1", "key": None, "question": "Which?", **more}


def compared() -> Comparison:
    prompts = tuple(f"prompt {n}" for n in range(8))
    base = Measurement(answers=("bad",) * 8)
    tuned = Measurement(answers=("good",) * 8)
    return Comparison(base=base, tuned=tuned, prompts=prompts, references=prompts)


def test_a_judge_is_asked_over_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-of-the-judge")
    rule = first_is("good")
    with serving(lambda chat: {"content": rule(chat)}) as (url, seen):
        found = added(compared(), wanted(url, key="JUDGE_KEY"))
    assert found.judge is not None
    assert (found.judge.won, found.judge.model) == (8, "judge-1")
    assert found.differences[-1].name == "judge"
    assert len(seen) == 16
    assert {(each["path"], each["key"]) for each in seen} == {
        ("/v1/chat/completions", "Bearer sk-of-the-judge")
    }
    assert {(each["model"], each["temperature"]) for each in seen} == {("judge-1", 0)}
    assert "judge judge-1: won 8, lost 0, tied 0" in str(found)


def test_a_judge_that_is_not_there_takes_nothing_from_the_rest() -> None:
    found = added(compared(), wanted("http://127.0.0.1:9"), timeout=2)
    assert found.judge is None
    assert "the judge was not heard" in found.notes[0]
    assert "the judge was not heard" in str(found)


def test_a_key_that_is_not_set_is_named() -> None:
    with pytest.raises(CredentialsError, match="NO_SUCH_KEY"):
        asks(wanted("http://127.0.0.1:9/v1", key="NO_SUCH_KEY"))([])


def test_a_key_is_not_sent_in_the_clear() -> None:
    with pytest.raises(SpecError, match="https"):
        asks(wanted("http://judge.example/v1", key="JUDGE_KEY"))


def test_an_answer_that_is_no_chat_is_said_to_be_so() -> None:
    with (
        serving(lambda chat: {"error": "no"}) as (url, _),
        pytest.raises(BackendDown, match="gives no answer that can be read"),
    ):
        asks(wanted(url))([{"role": "user", "content": "?"}])
