"""What a job leaves comes home whole, under names of ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.backends.fireworks.specs import THERE, sent, spec
from tests.tiny import tiny_model
from tunekit.backends.backend import JobId
from tunekit.backends.fireworks.backend import Fireworks
from tunekit.errors import AdapterError, BackendDown, RequestRejected
from tunekit.running.start import submit
from tunekit.testing.providers.adapter import Lora, write_lora
from tunekit.testing.providers.fireworks import LoopbackFireworks

NAMES = ["adapter_config.json", "adapter_model.safetensors"]


def finished(server: LoopbackFireworks, backend: Fireworks) -> JobId:
    run = submit(spec(), backend)
    server.set_state(server.jobs[-1], "COMPLETED")
    return JobId(str(run.job_id))


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter.part"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_the_adapter_loads_onto_the_base_of_the_spec(
    server: LoopbackFireworks, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base = tiny_model(tmp_path / "base")
    server.settings.base = base
    backend = Fireworks(base_url=server.url, max_cost=9, model_name="tiny")
    run = submit(spec(model=str(base)), backend).wait(60)
    config = json.loads((run.adapter.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    record = json.loads((run.adapter.folder / "tunekit.json").read_text())
    assert record["base_alias"] == "accounts/fireworks/models/tiny"
    tuned, plain = run.adapter.load(), AutoModelForCausalLM.from_pretrained(base)
    tokens = torch.tensor([[1, 5, 9, 20]])
    with torch.no_grad():
        moved = (tuned(tokens).logits - plain(tokens).logits).abs().max()
    assert 0 < float(moved) < 1


def test_exactly_the_files_of_an_adapter_are_kept(
    server: LoopbackFireworks, backend: Fireworks, into: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made" / "checkpoint"
    write_lora(made, Lora(8, 32.0), model=THERE, base=None, seed=0)
    for name in ("trainer.py", "optimizer.pt", "fireworks.json"):
        (made / name).write_text("not wanted")
    server.settings.adapter = made.parent
    backend.fetch(finished(server, backend), into)
    assert sorted(path.name for path in into.iterdir()) == NAMES
    for name in NAMES:
        assert (into / name).read_bytes() == (made / name).read_bytes()
    assert [path.name for path in into.parent.iterdir() if "download" in path.name] == []


def test_two_files_of_one_name_are_refused(
    server: LoopbackFireworks, backend: Fireworks, into: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    write_lora(made / "a", Lora(8, 32.0), model=THERE, base=None, seed=0)
    shutil.copytree(made / "a", made / "b")
    server.settings.adapter = made
    with pytest.raises(AdapterError, match="two files named"):
        backend.fetch(finished(server, backend), into)


def test_a_model_without_files_is_said(
    server: LoopbackFireworks, backend: Fireworks, into: Path, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    server.settings.adapter = tmp_path / "made"
    with pytest.raises(AdapterError, match="no file of an adapter"):
        backend.fetch(finished(server, backend), into)


def test_an_address_that_has_expired_is_asked_for_anew(
    server: LoopbackFireworks, backend: Fireworks, into: Path
) -> None:
    job_id = finished(server, backend)
    server.downloads.order("expired", name="adapter_model.safetensors")
    backend.fetch(job_id, into)
    assert sorted(path.name for path in into.iterdir()) == NAMES
    endpoint = f"/v1/{server.jobs[0].output}:getDownloadEndpoint"
    assert len(sent(server, endpoint, "GET")) == 2
    assert server.leaks == []


@pytest.mark.parametrize("fault", ["cut", "wrong-range", "changed", "html", "short", "503"])
def test_a_download_that_goes_wrong_once_comes_home_whole(
    server: LoopbackFireworks, backend: Fireworks, into: Path, fault: Any
) -> None:
    job_id = finished(server, backend)
    backend.fetch(job_id, into)
    whole = (into / "adapter_model.safetensors").read_bytes()
    becomes = whole if fault == "changed" else None
    server.downloads.order("cut", fault, name="adapter_model.safetensors", becomes=becomes)
    again = into.with_name("again")
    again.mkdir()
    try:
        backend.fetch(job_id, again)
    except (AdapterError, BackendDown):
        backend.fetch(job_id, again)
    assert (again / "adapter_model.safetensors").read_bytes() == whole


def test_a_fault_while_the_model_is_looked_for_is_overcome(
    server: LoopbackFireworks, backend: Fireworks, into: Path
) -> None:
    job_id = finished(server, backend)
    server.faults.order(f"GET /v1/{server.jobs[0].output}$", "500-before")
    backend.fetch(job_id, into)
    assert sorted(path.name for path in into.iterdir()) == NAMES


def test_a_job_that_has_not_succeeded_has_no_model(
    server: LoopbackFireworks, backend: Fireworks, into: Path
) -> None:
    run = submit(spec(), backend)
    with pytest.raises(RequestRejected, match="JOB_STATE_PENDING"):
        backend.fetch(JobId(str(run.job_id)), into)
    assert list(into.iterdir()) == []


@pytest.mark.slow
def test_a_full_model_comes_home_as_one(server: LoopbackFireworks, tmp_path: Path) -> None:
    server.settings.capabilities = {"supervisedFullParameterTunable": True}
    backend = Fireworks(base_url=server.url, max_cost=9)
    run = submit(spec(method="full"), backend).wait(60)
    names = {path.name for path in run.adapter.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tunekit.json"} <= names
