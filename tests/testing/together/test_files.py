"""Files at the loopback Together: uploaded by the official SDK, validated, previewed."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import together
from together.lib.resources.files import MultipartUploadManager
from together.types import fine_tuning_estimate_price_response as estimates

from tests.testing.together.client import (
    CHAT,
    MODEL,
    PAIR,
    client,
    uploaded,
    wire,
    written,
)
from tunekit.testing.providers.together import LoopbackTogether
from tunekit.testing.providers.together_rows import report

pytestmark = pytest.mark.slow


def test_the_same_bytes_are_uploaded_once(server: LoopbackTogether, tmp_path: Path) -> None:
    first = uploaded(server, tmp_path, CHAT)
    again = client(server).files.upload(written(tmp_path, CHAT, name="other.jsonl"))

    assert again.id == first
    assert len(server.files) == 1
    assert server.files[first].content == (tmp_path / "train.jsonl").read_bytes()


def test_an_expired_upload_is_refused_and_registered_anew(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    server.expire_uploads()
    path = written(tmp_path, CHAT)

    with pytest.raises(together.APIStatusError, match="AccessDenied"):
        client(server).files.upload(path)

    assert client(server).files.upload(path).processing_status == "PENDING"


def test_a_signed_address_takes_no_key(server: LoopbackTogether) -> None:
    assert wire(server, "PUT", "/_blob/file-1?signature=x").status_code == 400
    assert httpx.put(f"{server.url}/_blob/file-1?signature=x").status_code == 403


def test_bytes_other_than_announced_are_not_valid(server: LoopbackTogether) -> None:
    told = {"purpose": "fine-tune", "file_name": "a.jsonl", "file_type": "jsonl"}
    fields = {name: (None, value) for name, value in {**told, "checksum": "0" * 64}.items()}
    headers = {"Authorization": "Bearer test-key"}
    reply = httpx.post(f"{server.url}/v1/files", files=fields, headers=headers)
    httpx.put(reply.headers["Location"], content=b'{"text": "a"}\n')
    file_id = reply.headers["X-Together-File-Id"]
    wire(server, "POST", f"/v1/files/{file_id}/preprocess")

    states = [wire(server, "GET", f"/v1/files/{file_id}").json() for _ in range(2)]

    assert [state["processing_status"] for state in states] == ["RUNNING", "FAILED"]


def test_a_file_goes_up_in_parts(
    server: LoopbackTogether, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("together.lib.resources.files._calculate_parts", lambda size: (20, 5))
    path = written(tmp_path, CHAT)
    content = path.read_bytes()
    assert 80 < len(content) <= 100
    checksum = hashlib.sha256(content).hexdigest()

    manager = MultipartUploadManager(client(server))
    file = manager.upload("/v1/files", path, checksum, "fine-tune")

    assert server.files[file.id].content == content
    assert len(server.called("PUT /_blob/")) == 5


def test_an_aborted_upload_leaves_no_file(server: LoopbackTogether) -> None:
    told = {"purpose": "fine-tune", "file_name": "a.jsonl", "file_type": "jsonl"}
    body = {**told, "checksum": "0" * 64, "file_size": 10, "num_parts": 2}
    begun = wire(server, "POST", "/v1/files/multipart/initiate", body).json()
    which = {"upload_id": begun["upload_id"], "file_id": begun["file_id"]}
    missing = wire(server, "POST", "/v1/files/multipart/complete", {**which, "parts": []})

    wire(server, "POST", "/v1/files/multipart/abort", which)

    assert missing.status_code == 400
    assert server.files == {}


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        ([CHAT, CHAT], "conversation"),
        ([{"prompt": "a", "completion": "b"}], "instruction"),
        ([{"text": "a \u2028 b"}], "general"),
        ([PAIR], "preference_openai"),
        ([{**CHAT, "weight": 0.5, "tools": []}], "conversation"),
    ],
)
def test_a_sound_file_has_one_format(rows: list[Any], form: str) -> None:
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()

    found = report(content, "jsonl")

    assert (found["valid"], found["dataset_format"], found["nlines"]) == (True, form, len(rows))


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([CHAT, {"text": "a"}], "line 2 is general"),
        ([{**CHAT, "text": "a"}], "Line 1: matches conversation and general"),
        ([{"question": "a"}], "Line 1: matches no known format"),
        ([{**CHAT, "id": 1}], "unexpected keys id"),
        (
            [{"messages": [{"content": "a"}]}],
            r"Line 1: `messages\[0\]` must contain a `role`",
        ),
        ([{"messages": CHAT["messages"][:1]}], "a message of the assistant"),
        ([{**PAIR, "preferred_output": PAIR["preferred_output"] * 2}], "exactly one message"),
        ([{**PAIR, "tools": []}], "belong into `input`"),
        ([{**CHAT, "weight": -1}], "`weight` must be a number >= 0"),
        ([], "no rows"),
    ],
    ids=str,
)
def test_an_unsound_file_is_named_by_its_line(rows: list[Any], error: str) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()

    found = report(content, "jsonl")

    assert (found["valid"], found["error_type"]) == (False, "INVALID_FORMAT")
    assert re.search(error, found["error"])


def test_a_preview_marks_what_is_trained_on(server: LoopbackTogether, tmp_path: Path) -> None:
    file_id = uploaded(server, tmp_path, CHAT)

    rows = client(server).fine_tuning.preview(model=MODEL, training_file=file_id).rows

    assert (rows[0].input_ids, rows[0].labels) == (list(b"hiho"), [-100, -100, *b"ho"])
    assert rows[0].trained_spans == [[2, 4]]


def test_an_unvalidated_file_is_neither_priced_nor_trained_on(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    file_id = client(server).files.upload(written(tmp_path, CHAT)).id
    told = {"training_file": file_id, "model": MODEL}

    found = wire(server, "POST", "/v1/fine-tunes/estimate-price", told).json()
    estimates.UnavailableEstimate.model_validate(found)

    assert found["unavailable_reason"] == "train_file_not_validated"
    assert wire(server, "POST", "/v1/fine-tunes", told).status_code == 400
