"""Rows are sent once, whole, as they were checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.backends.fireworks.specs import pairs, sent, spec
from tunekit.backends import sent as files
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.backends.fireworks.datasets import Datasets
from tunekit.backends.sent import Sent
from tunekit.data import render
from tunekit.data.native import TARGETS
from tunekit.data.rows import Conversation, Message, Where
from tunekit.errors import DataError, RequestRejected
from tunekit.files import sha256
from tunekit.running.start import submit
from tunekit.testing.providers.fireworks import LoopbackFireworks

DATASETS = "/v1/accounts/acme/datasets"


@pytest.fixture
def file(tmp_path: Path) -> Sent:
    """Forty rows of 40 kB, as a service gets them: more than one block."""
    rows = tuple(
        Conversation(
            messages=(
                Message(role="user", content=f"{n} + 1? " + "x" * 40_000),
                Message(role="assistant", content=f"{n + 1}"),
            ),
            where=Where(file="rows", line=n + 1),
        )
        for n in range(40)
    )
    path = tmp_path / "rows.jsonl"
    digest = render.write(rows, path)
    return files.write(path, digest, tmp_path / "train.jsonl", TARGETS["fireworks"])


def uploads(server: LoopbackFireworks) -> int:
    (dataset,) = server.datasets.values()
    return dataset.uploads


def test_equal_rows_are_uploaded_once(server: LoopbackFireworks, backend: Fireworks) -> None:
    submit(spec(), backend)
    submit(spec(training={"epochs": 2}), backend)
    assert uploads(server) == 1
    assert len(server.jobs) == 2
    assert {job.body["dataset"] for job in server.jobs} == {
        next(iter(server.datasets.values())).name
    }


def test_other_rows_are_another_dataset(server: LoopbackFireworks, backend: Fireworks) -> None:
    submit(spec(), backend)
    submit(spec(objective="dpo", data=pairs()), backend)
    assert len(server.datasets) == 2


def test_what_arrives_is_what_was_hashed(
    server: LoopbackFireworks, backend: Fireworks, file: Sent
) -> None:
    name = backend.upload(file)
    (dataset,) = server.datasets.values()
    assert (dataset.name, dataset.rows) == (name, 40)
    assert dataset.files == {"train.jsonl": file.path.read_bytes()}
    assert file.sha256.startswith(dataset.id.removeprefix("tk-"))


@pytest.mark.parametrize("most_at_once", [0, 10**9])
def test_both_ways_of_uploading_bring_the_same_bytes(
    server: LoopbackFireworks, backend: Fireworks, file: Sent, most_at_once: int
) -> None:
    Datasets(backend.account, 0.01, most_at_once).upload(file)
    (dataset,) = server.datasets.values()
    assert dataset.files == {"train.jsonl": file.path.read_bytes()}
    direct = bool(sent(server, f"{DATASETS}/{dataset.id}:upload"))
    assert direct is (most_at_once > 0)
    assert server.leaks == []


@pytest.mark.parametrize("most_at_once", [0, 10**9])
@pytest.mark.parametrize("fault", ["lost-after", "500-before"])
@pytest.mark.parametrize("step", ["", "upload", "validateUpload", "_signed"])
def test_a_fault_on_the_way_is_overcome(
    server: LoopbackFireworks,
    backend: Fireworks,
    file: Sent,
    most_at_once: int,
    fault: Any,
    step: str,
) -> None:
    key = f"tk-{file.sha256[:48]}"
    where = {"": f"POST {DATASETS}$", "_signed": "PUT /_signed/"}
    server.faults.order(where.get(step, f"POST {DATASETS}/{key}:{step}"), fault)
    Datasets(backend.account, 0.01, most_at_once).upload(file)
    (dataset,) = server.datasets.values()
    assert dataset.files == {"train.jsonl": file.path.read_bytes()}
    assert backend.account.get(dataset.name)["state"] == "READY"


def test_a_dataset_that_was_left_half_made_is_uploaded(
    server: LoopbackFireworks, backend: Fireworks, file: Sent
) -> None:
    key = f"tk-{file.sha256[:48]}"
    about = {"userUploaded": {}, "exampleCount": "40", "format": "CHAT"}
    backend.client().post(DATASETS, body={"datasetId": key, "dataset": about}, cast_to=object)
    assert backend.upload(file) == f"accounts/acme/datasets/{key}"
    assert uploads(server) == 1


def test_a_dataset_of_this_name_with_other_rows_is_refused(
    server: LoopbackFireworks, backend: Fireworks, file: Sent
) -> None:
    key = f"tk-{file.sha256[:48]}"
    about = {"userUploaded": {}, "exampleCount": "7", "format": "CHAT"}
    backend.client().post(DATASETS, body={"datasetId": key, "dataset": about}, cast_to=object)
    with pytest.raises(RequestRejected, match="has 7 rows, not 40"):
        backend.upload(file)


@pytest.mark.parametrize("most_at_once", [0, 10**9])
def test_a_file_that_was_changed_is_not_sent(
    server: LoopbackFireworks, backend: Fireworks, file: Sent, most_at_once: int
) -> None:
    content = file.path.read_bytes()
    file.path.write_bytes(content.replace(b"39 + 1", b"39 - 1"))
    assert sha256(file.path) != file.sha256
    with pytest.raises(DataError, match="changed"):
        Datasets(backend.account, 0.01, most_at_once).upload(file)
    (dataset,) = server.datasets.values()
    assert not dataset.validated
