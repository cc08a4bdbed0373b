"""The small files of a model on the Hugging Face hub, from its cache or from the hub itself."""

from __future__ import annotations

import os
import socket
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

_SMALL = ("config.json", "tokenizer_config.json", "chat_template.jinja")
_PATIENCE = 3.0
"""Seconds to wait for the hub's first answer."""
_HUB = "https://huggingface.co"


def cached(model_id: str) -> Path | None:
    """Find the newest revision of a hub model in the cache of huggingface_hub."""
    repository = _cache() / f"models--{model_id.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = repository / "snapshots" / revision
    return snapshot if revision and (snapshot / "config.json").is_file() else None


def _cache() -> Path:
    """Give the folder that huggingface_hub downloads to, by its own environment variables."""
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "huggingface" / "hub"


def fetched(model_id: str) -> Path | None:
    """Download what describes a model, a few kB; None where the hub is out of reach.

    Needs huggingface_hub, which comes with the training libraries; without it nothing is asked.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return None
    try:
        download: Any = import_module("huggingface_hub").hf_hub_download
    except ImportError:
        return None
    if not _reachable():
        return None
    config: Path | None = None
    for name in _SMALL:
        try:
            place = Path(download(model_id, name, etag_timeout=_PATIENCE))
        except Exception:
            # Not there, gated, or no network, each with errors of its own: nothing is known then.
            if config is None:
                return None
            continue
        config = config or place
    return config.parent if config else None


def _reachable() -> bool:
    """Say whether the hub takes a connection; huggingface_hub would try for half a minute."""
    if getproxies():
        return True
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or _HUB)
    port = hub.port or (80 if hub.scheme == "http" else 443)
    try:
        socket.create_connection((hub.hostname or "", port), _PATIENCE).close()
    except OSError:
        return False
    return True
