"""A home for runs that are thrown away, beside what is worth keeping."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunekit.home import home


@contextmanager
def scratch(*kept: str) -> Iterator[Path]:
    """Let runs go to a new folder, and give it; `kept` and converted models stay where they are."""
    places = [home() / name for name in ("models", *kept)]
    before = os.environ.get("TUNEKIT_HOME")
    with tempfile.TemporaryDirectory() as folder:
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            (Path(folder) / place.name).symlink_to(place)
        os.environ["TUNEKIT_HOME"] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["TUNEKIT_HOME"]
            else:
                os.environ["TUNEKIT_HOME"] = before
