"""Downloads from the loopback Together: archives, ranges, and what goes wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import together

from tests.testing.together.client import (
    MODEL,
    client,
    completed,
    unpacked,
    wire,
)
from tests.tiny import tiny_model
from tunekit.testing.providers.downloads import NAMES, DownloadFault
from tunekit.testing.providers.together import LoopbackTogether

pytestmark = pytest.mark.slow


def test_the_archive_holds_an_adapter_as_it_was_asked_for(
    server: LoopbackTogether, tmp_path: Path
) -> None:
    sdk, modules = client(server), "q_proj,v_proj"
    job_id = completed(server, tmp_path, lora_alpha=12, lora_trainable_modules=modules)

    content = sdk.fine_tuning.content(ft_id=job_id, checkpoint="adapter").read()
    config = json.loads(unpacked(content)["adapter_config.json"])

    assert (config["r"], config["lora_alpha"]) == (8, 12)
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert config["base_model_name_or_path"] == MODEL


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # PEFT asks for it
@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
def test_peft_loads_the_adapter_onto_its_base(tmp_path: Path, kind: Any) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = tiny_model(tmp_path / "base")
    with LoopbackTogether(base=base, archive=kind, ticks=0) as server:
        job_id = completed(server, tmp_path)
        reply = wire(server, "GET", f"/v1/finetune/download?ft_id={job_id}&checkpoint=adapter")
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name, content in unpacked(reply.content).items():
        (folder / name).write_bytes(content)

    model = AutoModelForCausalLM.from_pretrained(base)
    tokens = torch.tensor([[5, 6, 7]])
    before = model(tokens).logits
    tuned = PeftModel.from_pretrained(model, folder)

    assert "x-tar" in reply.headers["content-type"] or kind == "tar.zst"
    assert set(tuned.peft_config["default"].target_modules) == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    assert not torch.equal(tuned(tokens).logits, before)


def test_a_given_adapter_is_what_jobs_make(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "adapter_config.json").write_text("{}")
    with LoopbackTogether(adapter=tmp_path / "mine", ticks=0) as server:
        job_id = completed(server, tmp_path)
        content = client(server).fine_tuning.content(ft_id=job_id, checkpoint="adapter").read()

    assert unpacked(content) == {"adapter_config.json": b"{}"}


def test_full_training_leaves_a_model(server: LoopbackTogether, tmp_path: Path) -> None:
    job_id = completed(server, tmp_path, lora=False, lora_r=None)
    sdk = client(server)

    with pytest.raises(together.BadRequestError, match="model_output_path"):
        sdk.fine_tuning.content(ft_id=job_id, checkpoint="adapter")

    content = sdk.fine_tuning.content(ft_id=job_id, checkpoint="model_output_path").read()
    assert set(unpacked(content)) == {"config.json", "model.safetensors"}


@pytest.fixture
def archived(server: LoopbackTogether, tmp_path: Path) -> tuple[str, bytes]:
    """The path of a finished job's adapter, and what lies there."""
    job_id = completed(server, tmp_path)
    content = server.results.archive(server.jobs[0]).content
    return f"/v1/finetune/download?ft_id={job_id}&checkpoint=adapter", content


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-1", 0, 1), ("bytes=10-", 10, None), ("bytes=-5", -5, None), ("bytes=7-7", 7, 7)],
)
def test_a_range_is_answered_with_exactly_its_bytes(
    server: LoopbackTogether,
    archived: tuple[str, bytes],
    asked: str,
    first: int,
    last: int | None,
) -> None:
    path, content = archived
    size = len(content)
    whole = wire(server, "GET", path)

    headers = {"Range": asked, "If-Range": whole.headers["etag"]}
    reply = wire(server, "GET", path, headers=headers)

    start, stop = first % size, size if last is None else last + 1
    assert reply.status_code == 206
    assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    assert reply.content == content[start:stop]
    assert whole.headers["accept-ranges"] == "bytes"


def test_the_sdks_own_download_helper_is_served(
    server: LoopbackTogether, archived: tuple[str, bytes], tmp_path: Path
) -> None:
    from together.lib import DownloadManager

    path, content = archived
    there = tmp_path / "there.bin"

    DownloadManager(client(server)).download(url=path, output=there, fetch_metadata=True)

    assert there.read_bytes() == content


def test_a_range_of_another_object_is_answered_with_everything(
    server: LoopbackTogether, archived: tuple[str, bytes]
) -> None:
    path, content = archived

    reply = wire(server, "GET", path, headers={"Range": "bytes=5-", "If-Range": '"other"'})

    assert (reply.status_code, reply.content) == (200, content)


def test_a_range_beyond_the_end_is_416(
    server: LoopbackTogether, archived: tuple[str, bytes]
) -> None:
    path, content = archived

    reply = wire(server, "GET", path, headers={"Range": f"bytes={len(content)}-"})

    assert reply.status_code == 416
    assert reply.headers["content-range"] == f"bytes */{len(content)}"


@pytest.mark.parametrize("fault", NAMES)
def test_each_fault_of_a_download_is_seen_and_the_next_one_is_whole(
    server: LoopbackTogether, archived: tuple[str, bytes], fault: DownloadFault
) -> None:
    path, content = archived
    server.break_download(fault)

    sound = _sound(server, path, content)
    after = wire(server, "GET", path)

    assert not sound
    assert after.status_code == 200
    assert (after.content == content) == (fault != "changed")
    assert "adapter_config.json" in unpacked(after.content)


def _sound(server: LoopbackTogether, path: str, content: bytes) -> bool:
    """Whether the second half of the object comes as it should."""
    half, size = len(content) // 2, len(content)
    try:
        reply = wire(server, "GET", path, headers={"Range": f"bytes={half}-"})
    except httpx.RemoteProtocolError:
        return False
    named = reply.headers.get("content-range") == f"bytes {half}-{size - 1}/{size}"
    right = reply.status_code == 206 and reply.content == content[half:]
    plain = "content-encoding" not in reply.headers and "etag" in reply.headers
    return named and right and plain


def test_a_download_is_cut_at_the_byte_ordered(
    server: LoopbackTogether, archived: tuple[str, bytes]
) -> None:
    path, content = archived
    server.break_download("cut", at=100)
    headers = {"Authorization": "Bearer test-key"}
    got = b""

    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("GET", server.url + path, headers=headers) as reply,
    ):
        for part in reply.iter_raw():
            got += part

    assert got == content[:100]


def test_a_signed_download_expires_and_is_asked_for_again(tmp_path: Path) -> None:
    with LoopbackTogether(redirect=302, ticks=0) as server:
        job_id = completed(server, tmp_path)
        path = f"/v1/finetune/download?ft_id={job_id}&checkpoint=adapter"
        server.break_download("expired", job_id=job_id)
        first, second = (wire(server, "GET", path).headers["location"] for _ in range(2))

        states = [httpx.get(where).status_code for where in (first, first, second)]
        leaked = httpx.get(second, headers={"Authorization": "Bearer test-key"})

    assert states == [403, 403, 200]
    assert leaked.status_code == 400
