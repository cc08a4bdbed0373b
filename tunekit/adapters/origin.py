"""The base model of an adapter: where its files are, and a fingerprint to know it again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunekit import embedded
from tunekit.adapters.header import read_header
from tunekit.errors import AdapterError

_SHAPE = (
    *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "vocab_size"),
)
_SAMPLE = 4096


def find(model_id: str) -> Path | None:
    """Give the folder of a model that is on this machine; converts and downloads nothing."""
    if model_id.startswith("embedded:"):
        return embedded.path() if embedded.is_ready() else None
    folder = Path(model_id).expanduser()
    if folder.is_dir():
        return folder
    return _cached(model_id)


def fingerprint(folder: Path) -> str | None:
    """Hash what tells one model from another (sha256, hex); None without safetensors.

    Taken are the sizes in config.json and, of every tensor, its name, dtype, shape and first
    4096 bytes. So a model that was trained further, or merged, has another fingerprint.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        files = sorted(folder.glob("model*.safetensors"))
        if not files:
            return None
        digest = hashlib.sha256(json.dumps([config.get(key) for key in _SHAPE]).encode())
        for line in sorted(line for file in files for line in _samples(file)):
            digest.update(line)
    except (OSError, ValueError, AttributeError, AdapterError):
        return None
    return digest.hexdigest()


def _samples(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        for tensor in read_header(file).values():
            stream.seek(tensor.start)
            sample = stream.read(min(_SAMPLE, tensor.end - tensor.start))
            start = f"{tensor.name} {tensor.dtype} {tensor.shape} ".encode()
            yield start + hashlib.sha256(sample).digest()


def _cached(model_id: str) -> Path | None:
    """Find the snapshot of a hub id in the hub's cache, as `huggingface_hub` lays it out."""
    if model_id.count("/") != 1:
        return None
    place = _cache() / f"models--{model_id.replace('/', '--')}"
    try:
        commit = (place / "refs" / "main").read_text().strip()
    except OSError:
        return None
    folder = place / "snapshots" / commit
    return folder if folder.is_dir() else None


def _cache() -> Path:
    setting: Any = os.environ.get
    if place := setting("HF_HUB_CACHE") or setting("HUGGINGFACE_HUB_CACHE"):
        return Path(place).expanduser()
    root = setting("HF_HOME") or Path(setting("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(root).expanduser() / "hub"
