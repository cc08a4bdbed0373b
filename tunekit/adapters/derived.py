"""A new adapter made from another one, with the history of both."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tunekit.adapters import gate
from tunekit.adapters.config import read_object
from tunekit.adapters.provenance import NAME, Provenance
from tunekit.errors import AdapterError
from tunekit.files import sync_folder


def derive(
    folder: Path,
    into: Path,
    *,
    tensors: Mapping[str, Any],
    config: Mapping[str, Any],
    used: Mapping[str, Any],
) -> Path:
    """Write an adapter like that in `folder`, with other weights; it appears whole or not at all.

    Args:
        folder: The adapter it is made from.
        into: A folder that does not exist, or is empty.
        tensors: All weights, by name.
        config: What changes in `adapter_config.json`.
        used: What is added to the history in `tunekit.json`.

    Raises:
        AdapterError: `into` is taken, or the result is no adapter.
    """
    library: Any = import_module("safetensors.torch")
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise AdapterError(f"{into}: is not an empty folder; name one that does not exist")
    into.parent.mkdir(parents=True, exist_ok=True)
    part = into.with_name(f".{into.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        left_out = shutil.ignore_patterns(gate.WEIGHTS, gate.CONFIG, NAME)
        shutil.copytree(folder, part, ignore=left_out)
        content = {**read_object(folder / gate.CONFIG), **config}
        (part / gate.CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        library.save_file(whole, part / gate.WEIGHTS, metadata={"format": "pt"})
        if record := Provenance.read(folder):
            record.model_copy(update={"used": {**record.used, **used}}).write(part)
        gate.check(part)
        if into.exists():
            into.rmdir()
        part.replace(into)
        sync_folder(into.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return into
