"""Resumable states: committed by a manifest, verified before they are used."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tunekit.files import sha256, sync_folder, write_atomic

MANIFEST = "MANIFEST.json"
_NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
_NAME = re.compile(r"checkpoint-(\d+)")


def commit(folder: Path) -> None:
    """Seal a checkpoint: size and hash of every file, written last."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    write_atomic(folder / MANIFEST, json.dumps({"files": files}, indent=1) + "\n")
    sync_folder(folder.parent)


def newest(folder: Path) -> Path | None:
    """Find the newest checkpoint that is whole; damaged ones are passed over."""
    if not folder.is_dir():
        return None
    found = sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=step)
    return next((path for path in reversed(found) if whole(path)), None)


def whole(folder: Path) -> bool:
    """Say whether every file is there and as it was sealed, random state included."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError):
        return False
    if any(name not in files for name in _NEEDED):
        return False
    if not any(name.startswith("rng_state") for name in files):
        return False
    return all(_same(folder / name, entry) for name, entry in files.items())


def step(folder: Path) -> int:
    """Read the optimizer step from the folder's name."""
    match = _NAME.fullmatch(folder.name)
    return int(match[1]) if match else -1


def _same(path: Path, entry: dict[str, int | str]) -> bool:
    try:
        return path.stat().st_size == entry["bytes"] and sha256(path) == entry["sha256"]
    except OSError:
        return False
