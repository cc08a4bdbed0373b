"""Compile the kernels of native.c for this machine, once, and load them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from tunekit.home import home

SOURCE = Path(__file__).with_name("native.c")
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC")


class Uncompiled(Exception):
    """The kernels cannot be compiled here; the message says why."""


def library(*, bfloat16: bool) -> ctypes.CDLL:
    """Load the kernels of a precision; compile them where this machine has not yet.

    The compiler is `$CC`, or cc. The library is not linked with a run time of OpenMP: it finds the
    one that torch has loaded, so both share their threads.

    Raises:
        Uncompiled: there is no compiler, it fails, or the result does not load.
    """
    if platform.system() != "Linux":
        raise Uncompiled(f"on {platform.system()} nothing is known of the compiler's OpenMP")
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Uncompiled("no C compiler is here (cc, or $CC)")
    flags = [*_FLAGS, *(["-mprefer-vector-width=512"] if platform.machine() == "x86_64" else [])]
    flags += ["-DBFLOAT16"] if bfloat16 else []
    path = folder() / f"{_key(compiler, flags)}.so"
    if not path.exists():
        _compile([compiler, *flags], path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise Uncompiled(str(error)) from None


def folder() -> Path:
    """Give the place of what was made for this machine."""
    place = home() / "kernels"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def _key(compiler: str, flags: list[str]) -> str:
    """Name what the result depends on: source, flags, compiler, processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    texts = [file.read_text() for file in (SOURCE, *sorted(SOURCE.parent.glob("*.h")))]
    return machine(*texts, *flags, version.stdout)


def machine(*parts: object) -> str:
    """Name this processor together with something else."""
    said = "\0".join(map(str, (*parts, _processor())))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _processor() -> str:
    """Give what -march=native looks at."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def _compile(command: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as made:
        part = Path(made)
        _run([*command, "-c", str(SOURCE), "-o", str(part / "kernels.o")])
        _run([command[0], "-shared", str(part / "kernels.o"), "-o", str(part / "it.so"), "-lm"])
        (part / "it.so").replace(path)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise Uncompiled(f"{command[0]} fails: {(done.stderr.splitlines() or ['?'])[0]}")
