"""What importing and planning loads: little, and never a training library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "bitsandbytes", "pyarrow")
LATER = ("httpx", "together", "fireworks", "typer", "rich", "yaml", "jinja2", "pygal")

WATCH = """
import sys
connected = []
sys.addaudithook(lambda name, args: connected.append(args) if name == "socket.connect" else None)
"""
TELL = """
print(*sorted(name for name in {names!r} if name in sys.modules))
assert not connected, connected
"""
PLAN = """
import tunekit
rows = [
    {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": f"{n}!"}]}
    for n in range(8)
]
spec = tunekit.FineTune(model="org/a-model-that-nobody-has", data=rows)
assert tunekit.plan(spec, "local").request
"""


def loaded(code: str, names: tuple[str, ...], folder: Path) -> list[str]:
    """Run code in a fresh interpreter; give those of `names` that it has loaded."""
    script = WATCH + code + TELL.format(names=names)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_tunekit_loads_neither_training_nor_web_libraries(tmp_path: Path) -> None:
    assert loaded("import tunekit", HEAVY + LATER, tmp_path) == []


def test_every_public_name_is_there_without_a_training_library(tmp_path: Path) -> None:
    code = "import tunekit\nfor name in tunekit.__all__: getattr(tunekit, name)"
    assert loaded(code, HEAVY, tmp_path) == []


def test_planning_loads_no_training_library_and_opens_no_connection(tmp_path: Path) -> None:
    assert loaded(PLAN, HEAVY, tmp_path) == []


def test_the_command_line_loads_no_training_library(tmp_path: Path) -> None:
    assert loaded("import tunekit.cli.app", HEAVY, tmp_path) == []
