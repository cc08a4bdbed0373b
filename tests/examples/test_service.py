"""The web application, over real connections, with several runs at once."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from tests.examples.test_own_backend import load
from tests.tiny import tiny_model
from tunekit.backends.backend import Backend
from tunekit.testing import FakeBackend

ROWS = "\n".join(json.dumps({"prompt": f"{n} + 1 =", "completion": f" {n + 1}"}) for n in range(20))


@contextmanager
def serving(model: str, backend: Backend | str) -> Iterator[httpx.Client]:
    """Run the application in a thread, on a port that is free."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    application = load("service").application(model, backend)
    config = uvicorn.Config(application, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def submit(client: httpx.Client, name: str, steps: int = 20) -> dict[str, Any]:
    answer = client.post("/runs", json={"rows": ROWS, "name": name, "steps": steps})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def listen(client: httpx.Client, run_id: str, **headers: str) -> list[tuple[str, str, Any]]:
    """Read the stream of a run to its end: id, kind and content of each event."""
    found: list[tuple[str, str, Any]] = []
    with client.stream("GET", f"/runs/{run_id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
                fields = {}
    return found


def test_several_runs_are_watched_at_once() -> None:
    with serving("org/a-model", FakeBackend(steps=30)) as client:
        runs = [submit(client, f"run-{number}") for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            streams = list(pool.map(lambda run: listen(client, run["id"]), runs))

    for run, stream in zip(runs, streams, strict=True):
        losses = [e["metrics"]["loss"] for _, kind, e in stream if kind == "metrics" and e["step"]]
        assert len(losses) == 30
        assert losses == sorted(losses, reverse=True)
        assert stream[-1][1:] == ("end", {**run, "state": "succeeded"})


def test_two_visitors_of_one_run_see_the_same() -> None:
    with serving("org/a-model", FakeBackend(steps=20)) as client:
        run = submit(client, "shared")
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: listen(client, run["id"]), range(2))

    assert first == second


def test_a_browser_that_comes_back_gets_only_what_it_missed() -> None:
    with serving("org/a-model", FakeBackend()) as client:
        run = submit(client, "again")
        whole = listen(client, run["id"])
        rest = listen(client, run["id"], **{"Last-Event-ID": whole[2][0]})

    assert rest == whole[3:]


def test_a_run_is_stopped_from_the_page() -> None:
    with serving("org/a-model", FakeBackend(steps=100_000)) as client:
        run = submit(client, "long")
        assert client.post(f"/runs/{run['id']}/cancel", json={}).status_code == 200
        stream = listen(client, run["id"])

    assert stream[-1][2]["state"] == "cancelled"


def test_mistakes_are_answered_with_a_sentence() -> None:
    with serving("org/a-model", FakeBackend()) as client:
        unnamed = client.post("/runs", json={"rows": ROWS, "name": "no spaces please"})
        unread = client.post("/runs", json={"rows": "not json"})
        empty = client.post("/runs", json={})
        unknown = client.get("/runs/nobody/events")

    assert (unnamed.status_code, "name" in unnamed.json()["error"]) == (400, True)
    assert unread.status_code == 400
    assert empty.status_code == 400
    assert (unknown.status_code, "no run" in unknown.json()["error"]) == (404, True)


def test_other_sites_cannot_start_or_stop_a_run() -> None:
    with serving("org/a-model", FakeBackend()) as client:
        simple = client.post("/runs", content=json.dumps({"rows": ROWS}))
        renamed = client.get("/runs", headers={"Host": "elsewhere.example"})
        stopped = client.post(f"/runs/{submit(client, 'mine')['id']}/cancel")

    assert simple.status_code == stopped.status_code == 400
    assert renamed.status_code == 400


def test_the_page_needs_nothing_from_elsewhere() -> None:
    with serving("org/a-model", FakeBackend()) as client:
        answer = client.get("/")

    assert not re.findall(r"https?://|//cdn|@import|src=|innerHTML", answer.text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")


@pytest.mark.slow
def test_a_real_model_is_trained_behind_the_page(tmp_path: Path) -> None:
    with serving(str(tiny_model(tmp_path / "model")), "local") as client:
        run = submit(client, "real", steps=3)
        stream = listen(client, run["id"])

    assert stream[-1][2]["state"] == "succeeded", stream[-1]
    losses = [e for _, kind, e in stream if kind == "metrics" and "loss" in e["metrics"]]
    assert [event["step"] for event in losses] == [1, 2, 3]
    assert any(kind == "evaluation" for _, kind, _ in stream)
