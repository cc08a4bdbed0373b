"""A client of the loopback Together: the official SDK, and plain HTTP."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import together
import zstandard

from tunekit.testing.providers.together import LoopbackTogether

MODEL = "Qwen/Qwen3-0.6B"
CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
PAIR = {
    "input": {"messages": [{"role": "user", "content": "hi"}]},
    "preferred_output": [{"role": "assistant", "content": "ho"}],
    "non_preferred_output": [{"role": "assistant", "content": "no"}],
}


def client(server: LoopbackTogether) -> together.Together:
    """Give the official SDK: without certificates it is made in a moment, and keeps no socket."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return together.Together(
        base_url=server.url,
        api_key="test-key",
        project_id="proj_1",
        max_retries=0,
        http_client=together.DefaultHttpxClient(verify=False, limits=limits),
    )


def wire(server: LoopbackTogether, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """Ask as a plain HTTP client does."""
    headers = {"Authorization": "Bearer test-key", **more.pop("headers", {})}
    place = server.url + path
    return httpx.request(method, place, json=body, headers=headers, verify=False, **more)


def written(folder: Path, *rows: Any, name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def uploaded(server: LoopbackTogether, folder: Path, *rows: Any, name: str = "train.jsonl") -> str:
    """Put a file there with the SDK, and wait until it is validated."""
    sdk = client(server)
    file_id = sdk.files.upload(written(folder, *rows, name=name)).id
    while sdk.files.retrieve(file_id).processing_status in ("PENDING", "RUNNING"):
        pass
    return file_id


def created(server: LoopbackTogether, folder: Path, **settings: Any) -> str:
    file_id = uploaded(server, folder, *[CHAT] * 32)
    arguments = {"model": MODEL, "lora": True, "lora_r": 8, "batch_size": 8, **settings}
    job = client(server).fine_tuning.create(training_file=file_id, verbose=False, **arguments)
    return str(job.id)


def completed(server: LoopbackTogether, folder: Path, **settings: Any) -> str:
    job_id = created(server, folder, **settings)
    while client(server).fine_tuning.retrieve(job_id).status != "completed":
        pass
    return job_id


def unpacked(content: bytes) -> dict[str, bytes]:
    """Give the files of an archive of either kind."""
    if not content.startswith(b"\x1f\x8b"):
        content = zstandard.ZstdDecompressor().stream_reader(content).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        streams = ((member.name, archive.extractfile(member)) for member in archive)
        return {name: stream.read() for name, stream in streams if stream}
