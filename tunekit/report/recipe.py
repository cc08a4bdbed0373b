"""How to do a run again: its spec, its versions and the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunekit.spec.yaml import dump
from tunekit.store import Record


@dataclass(frozen=True)
class Recipe:
    """What to type."""

    spec: str
    """As YAML."""
    install: str
    command: str
    hashes: tuple[tuple[str, str], ...]
    """Of the rows that were sent: the file's name and its SHA-256."""

    @classmethod
    def of(cls, record: Record) -> Recipe:
        """Write down how to do it again."""
        backend: Any = record.backend
        if set(record.backend) == {"type"}:
            backend = record.backend["type"]
        file = f"{record.name or 'spec'}.yaml"
        pins = " \\\n  ".join(f"{name}=={version}" for name, version in record.versions.items())
        return cls(
            spec=dump({**record.spec, "backend": backend}),
            install=f"pip install \\\n  {pins}" if pins else "",
            command=f"tunekit run {file}",
            hashes=tuple(
                (f"data/{name}.jsonl", record.data[name]["sha256"])
                for name in ("train", "validation")
                if name in record.data
            ),
        )
