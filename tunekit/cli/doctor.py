"""What an installation can do, and what is in the way; imports no training library."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from tunekit import embedded
from tunekit.errors import TunekitError
from tunekit.home import home
from tunekit.planning.machine import detect


class Level:
    """How a finding stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    level: str
    text: str
    fix: str = ""


DISTRIBUTION = "tunekit-sdk"
_NEEDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "safetensors")
_SPACE = 5 * 2**30
"""Room for a small model and its checkpoints."""


def examine(unsloth_python: Path | None = None) -> list[Finding]:
    """Look at everything in turn."""
    return [
        _python(),
        *_packages(),
        _bitsandbytes(),
        *_machine(),
        *_home(),
        _embedded(),
        _unsloth(unsloth_python),
    ]


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform == "win32":
        fix = "train inside WSL 2; planning and checking specs work here"
        return Finding("python", Level.WARN, text, fix)
    return Finding("python", Level.OK, text)


def _packages() -> Iterator[Finding]:
    least = minimums()
    for name in _NEEDED:
        yield _package(name, least.get(name, ""))


def _package(name: str, least: str) -> Finding:
    fix = f"{sys.executable} -m pip install --upgrade '{DISTRIBUTION}[local]'"
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, Level.FAIL, "not installed; local training needs it", fix)
    if least and _numbers(found) < _numbers(least):
        return Finding(name, Level.FAIL, f"{found} is older than {least}", fix)
    return Finding(name, Level.OK, found)


def _bitsandbytes() -> Finding:
    found = _package("bitsandbytes", minimums().get("bitsandbytes", ""))
    if found.level == Level.OK:
        return found
    text = f"{found.text.partition(';')[0]}; only QLoRA needs it"
    return Finding(found.name, Level.WARN, text, found.fix)


def minimums() -> dict[str, str]:
    """Read the oldest version of each package that the `local` extra allows."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        match = re.match(r"([A-Za-z0-9_-]+)[^;]*?>=([0-9.]+).*extra == .local.", line)
        if match:
            found[match[1]] = match[2]
    return found


def _numbers(text: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _machine() -> Iterator[Finding]:
    machine = detect()
    memory = f"{machine.memory_bytes / 2**30:.1f} GiB"
    devices = f"{machine.devices} x {machine.device}" if machine.devices > 1 else machine.device
    bf16 = ", bfloat16" if machine.bf16 else ""
    yield Finding("device", Level.OK, f"{devices}, {memory}{bf16}")
    yield Finding("threads", Level.OK, f"{machine.threads}: {machine.reason}")


def _home() -> Iterator[Finding]:
    try:
        folder = home()
        probe = folder / ".doctor"
        probe.touch()
        probe.unlink()
    except (TunekitError, OSError) as error:
        fix = "set TUNEKIT_HOME to a folder you can write"
        yield Finding("home", Level.FAIL, str(error), fix)
        return
    yield Finding("home", Level.OK, f"{folder} can be written")
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free"
    if free < _SPACE:
        yield Finding("disk", Level.WARN, text, "free some space, or set TUNEKIT_HOME elsewhere")
    else:
        yield Finding("disk", Level.OK, text)


def _embedded() -> Finding:
    try:
        if embedded.is_ready():
            return Finding("embedded", Level.OK, f"{embedded.MODEL} is ready")
        embedded.gguf_file()
    except TunekitError as error:
        text, _, fix = str(error).partition(": pip")
        return Finding("embedded", Level.WARN, text, f"pip{fix}" if fix else "")
    if find_spec("gguf") is None:
        fix = f"pip install '{DISTRIBUTION}[demo]'"
        return Finding("embedded", Level.WARN, f"{embedded.MODEL} needs gguf", fix)
    return Finding("embedded", Level.OK, f"{embedded.MODEL} is converted at its first use")


def _unsloth(python: Path | None) -> Finding:
    if python is None:
        if find_spec("unsloth") is None:
            return Finding("unsloth", Level.OK, "not installed; the engine peft does without it")
        return Finding("unsloth", Level.OK, version("unsloth"))
    fix = f"{python} -m pip install '{DISTRIBUTION}[unsloth]'"
    try:
        done = subprocess.run(
            [str(python), "-c", _ASK], capture_output=True, text=True, timeout=60, check=True
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Finding("unsloth", Level.FAIL, f"{python} cannot be asked: {error}", fix)
    missing = [name for name, number in found.items() if not number]
    if missing:
        return Finding("unsloth", Level.FAIL, f"{python} lacks {', '.join(missing)}", fix)
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    return Finding("unsloth", Level.OK, f"{python}: {listed}")


_ASK = """
import importlib.metadata as m, json
def number(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return ""
print(json.dumps({name: number(name) for name in ("tunekit-sdk", "unsloth", "trl", "torch")}))
"""
