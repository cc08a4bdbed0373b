"""Files at Together: sent once, by content, and looked at before anything is bought."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tunekit import errors
from tunekit.backends.sent import Sent
from tunekit.backends.together.backend import Together
from tunekit.backends.together.files import Files
from tunekit.backends.together.parts import cut
from tunekit.testing.providers.together import LoopbackTogether


@pytest.fixture
def files(backend: Together) -> Files:
    return Files(http=backend.http, pause=backend.pause)


def sent(folder: Path, rows: int = 50, row: Any = None) -> Sent:
    path = folder / "train.jsonl"
    row = row or {"prompt": "1 + 1 =", "completion": " 2"}
    path.write_text("".join(json.dumps(row) + "\n" for _ in range(rows)))
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Sent(name="train", path=path, sha256=digest, size=len(content), rows=rows)


def in_parts(backend: Together, size: int) -> Files:
    return Files(http=backend.http, pause=backend.pause, single_bytes=1, part_bytes=size)


def test_the_bytes_arrive_and_are_validated(
    server: LoopbackTogether, files: Files, tmp_path: Path
) -> None:
    file = sent(tmp_path)

    place = files.bring(file)

    assert server.files[place].content == file.path.read_bytes()
    assert server.files[place].status == "COMPLETED"
    assert server.files[place].checksum == file.sha256


def test_the_signed_address_gets_no_key(
    server: LoopbackTogether, files: Files, tmp_path: Path
) -> None:
    file = sent(tmp_path)

    files.bring(file)

    (put,) = server.called("PUT /_blob/")
    assert "authorization" not in put.headers
    assert put.headers["content-length"] == str(file.size)


def test_what_is_there_is_not_sent_again(
    server: LoopbackTogether, files: Files, tmp_path: Path
) -> None:
    file = sent(tmp_path)

    assert files.bring(file) == files.bring(file)

    assert len(server.called("PUT /_blob/")) == 1


@pytest.mark.parametrize(
    "request_name",
    ["POST /v1/files", "PUT /_blob/", "GET /v1/files/", "POST /v1/files/file-"],
)
@pytest.mark.parametrize(
    "fault", ["lost-before", "lost-after", "500-after", "200-html-after", "429", "409"]
)
def test_a_fault_on_the_way_is_overcome(
    server: LoopbackTogether, files: Files, tmp_path: Path, request_name: str, fault: Any
) -> None:
    server.faults.order(request_name, fault)
    file = sent(tmp_path)

    place = files.bring(file)

    assert server.files[place].content == file.path.read_bytes()


def test_an_address_that_expired_is_asked_for_anew(
    server: LoopbackTogether, files: Files, tmp_path: Path
) -> None:
    server.expire_uploads(2)

    place = files.bring(sent(tmp_path))

    assert server.files[place].status == "COMPLETED"


def test_rows_that_together_refuses_are_refused_in_its_words(
    server: LoopbackTogether, files: Files, tmp_path: Path
) -> None:
    bad = {"messages": [{"content": "no role"}]}

    with pytest.raises(errors.RequestRejected, match=r"Line \d+: .*role"):
        files.bring(sent(tmp_path, row=bad))


def test_a_file_that_was_changed_is_not_sent(
    server: LoopbackTogether, files: Files, tmp_path: Path
) -> None:
    file = sent(tmp_path)
    file.path.write_bytes(file.path.read_bytes().replace(b"2", b"3"))

    with pytest.raises(errors.DataError, match="changed"):
        files.bring(file)

    assert not [held for held in server.files.values() if held.content]


def test_a_validation_without_end_is_given_up_without_buying(
    server: LoopbackTogether, backend: Together, tmp_path: Path
) -> None:
    patient = Files(http=backend.http, pause=0.0, patience=0.0)

    with pytest.raises(errors.BackendDown, match="still PENDING"):
        patient.bring(sent(tmp_path))


def test_a_large_file_goes_in_parts(
    server: LoopbackTogether, backend: Together, tmp_path: Path
) -> None:
    file = sent(tmp_path, rows=200)

    place = in_parts(backend, 1000).bring(file)

    assert server.files[place].content == file.path.read_bytes()
    assert server.files[place].status == "COMPLETED"
    sizes = [len(put.body) for put in server.called("PUT /_blob/")]
    assert sizes == [1000] * (file.size // 1000) + [file.size % 1000]


def test_a_part_that_is_lost_is_sent_again(
    server: LoopbackTogether, backend: Together, tmp_path: Path
) -> None:
    server.faults.order("PUT /_blob/", None, "lost-before", "lost-after", "500-after")
    file = sent(tmp_path, rows=200)

    place = in_parts(backend, 1000).bring(file)

    assert server.files[place].content == file.path.read_bytes()


def test_a_large_file_that_is_there_is_not_sent_again(
    server: LoopbackTogether, backend: Together, tmp_path: Path
) -> None:
    file, large = sent(tmp_path, rows=200), in_parts(backend, 1000)

    assert large.bring(file) == large.bring(file)

    assert len(server.called("POST /v1/files/multipart/complete")) == 1


def test_parts_that_do_not_arrive_leave_nothing_behind(
    server: LoopbackTogether, backend: Together, tmp_path: Path
) -> None:
    server.faults.weigh("PUT /_blob/", {"500-before": 1}, seed=0)

    with pytest.raises(errors.BackendDown):
        in_parts(backend, 1000).bring(sent(tmp_path, rows=200))

    assert not server.files


def test_a_file_is_never_in_more_parts_than_together_takes(tmp_path: Path) -> None:
    file = sent(tmp_path, rows=500)

    parts = cut(file, size=1)

    assert len(parts) <= 250
    assert b"".join(b"".join(part.blocks()) for part in parts) == file.path.read_bytes()
