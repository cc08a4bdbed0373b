"""A model that is only on the hub is described from the hub's small files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
FILES = {
    "/org/model/resolve/main/config.json": CONFIG,
    "/org/model/resolve/main/tokenizer_config.json": {"chat_template": "{{ messages }}"},
}
ASK = """
import json, sys
from tunekit.models import describe
model = describe("org/model")
print(json.dumps([model.known_from, model.parameters, model.chat_template, "torch" in sys.modules]))
"""


class _Hub(BaseHTTPRequestHandler):
    """What the hub says of one model; everything else is not there."""

    def _answer(self, body: bool) -> None:
        found = FILES.get(self.path)
        content = json.dumps(found).encode() if found else b"{}"
        self.send_response(200 if found else 404)
        if found is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("ETag", f'"{len(content)}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _ask(cache: Path, **environment: str) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(cache), **environment},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_model_is_described_from_the_hub_and_then_from_the_cache(
    tmp_path: Path, hub: str
) -> None:
    first = _ask(tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="0")
    second = _ask(tmp_path, HF_HUB_OFFLINE="1")

    assert first == ["hub", 134_515_008, "{{ messages }}", False]
    assert second == ["cache", 134_515_008, "{{ messages }}", False]


def test_a_hub_out_of_reach_leaves_only_the_name(tmp_path: Path) -> None:
    found = _ask(tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")

    assert found == ["nothing", None, None, False]


def test_a_hub_that_does_not_know_the_model_leaves_only_the_name(
    tmp_path: Path, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(FILES, "/org/model/resolve/main/config.json")

    assert _ask(tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="0")[0] == "nothing"
