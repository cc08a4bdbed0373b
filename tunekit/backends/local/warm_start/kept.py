"""The bytes that training starts from: copied into the job, and the same at every restart."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunekit.errors import SpecError
from tunekit.files import sha256


def keep(start: Mapping[str, Any], into: Path) -> dict[str, Any]:
    """Copy the adapter, which may be moved or trained over later; give what the worker is told.

    Raises:
        SpecError: it has changed since the plan, or is gone.
    """
    source = Path(start["folder"])
    require(source, start)
    part = into.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    for name in start["sha256"]:
        shutil.copyfile(source / name, part / name)
    require(part, start)
    shutil.rmtree(into, ignore_errors=True)
    part.replace(into)
    return {**start, "kept": str(into.absolute())}


def folder(start: Mapping[str, Any]) -> Path:
    """Give the folder to start from.

    Raises:
        SpecError: the bytes in it are not those that were planned with.
    """
    place = Path(start.get("kept") or start["folder"])
    require(place, start)
    return place


def require(place: Path, start: Mapping[str, Any]) -> None:
    """Stop unless the files have the hashes of the plan.

    Raises:
        SpecError: one has changed, or is gone.
    """
    for name, planned in start["sha256"].items():
        file = place / name
        if not file.is_file():
            raise SpecError(f"start_from: {file} is gone since the plan; plan and submit again")
        if sha256(file) != planned:
            raise SpecError(f"start_from: {file} has changed since the plan; plan and submit again")
