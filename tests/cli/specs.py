"""Spec files for the fake backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

FAKE = "tunekit.testing.fake:FakeBackend"


def spec_file(folder: Path, *, backend: Any = None, **values: Any) -> Path:
    """Write a spec over twenty rows; `backend` adds settings of the fake backend."""
    rows = folder / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"prompt": f"{n} + 1 =", "completion": f" {n + 1}"}) + "\n"
            for n in range(20)
        )
    )
    document = {
        "model": "org/a-model",
        "data": str(rows),
        "backend": {"type": FAKE, **(backend or {})},
        **values,
    }
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
