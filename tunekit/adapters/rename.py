"""The base's name in an adapter: providers write their own, we keep the canonical one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tunekit.adapters.allowed import CONFIG
from tunekit.adapters.config import read_object
from tunekit.errors import AdapterError
from tunekit.files import write_atomic

_HUB = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_COPY = re.compile(r"(reference|bnb4bit|unslothbnb4bit|hf)$")
"""What providers and Unsloth hang on the name of an unchanged copy."""


def rename_base(folder: Path, base: str, alias: str | None = None) -> str | None:
    """Let the config of an adapter name its base by `base`; give the name it had.

    Paths of the provider's machines are names like any other. A full model names no base, and is
    left alone.

    Args:
        folder: Where the adapter lies.
        base: The canonical id, as the spec has it.
        alias: What the provider calls the base.

    Raises:
        AdapterError: the config cannot be read, or names another model.
    """
    file = folder / CONFIG
    if not file.exists():
        return None
    content = read_object(file)
    written = content.get("base_model_name_or_path")
    if written is not None and not isinstance(written, str):
        raise AdapterError(f"{file}: base_model_name_or_path: {written!r} is no name")
    if written and written != alias and is_another(written, base):
        raise AdapterError(f"{file}: was trained on {written}; {base} was asked for")
    if written != base:
        content["base_model_name_or_path"] = base
        # A revision of the provider's copy says nothing of the canonical one.
        content.pop("revision", None)
        write_atomic(file, json.dumps(content, indent=2) + "\n")
    return written or None


def is_another(written: str, base: str) -> bool:
    """Say whether two names are hub ids of different models; a path may hold any model."""
    if not (_HUB.fullmatch(written) and _HUB.fullmatch(base)) or Path(written).is_dir():
        return False
    return _plain(written) != _plain(base)


def _plain(name: str) -> str:
    """Give the last part without what copies differ in: capitals, signs, a word at the end."""
    return _COPY.sub("", re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].lower()))
