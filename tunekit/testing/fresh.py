"""A second interpreter that can import what this one can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def python(script: str, *arguments: str, seconds: float = 300.0) -> str:
    """Run a script and give what it prints; a failed check when it does not end well."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
