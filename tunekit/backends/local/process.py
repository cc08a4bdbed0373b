"""Start a worker that outlives us, holds its lock for life, and never asks anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from tunekit.backends.local.job import Job
from tunekit.backends.local.waiting import spins
from tunekit.errors import MissingExtra
from tunekit.files import locked

_NEEDED = ("tunekit", "torch", "transformers", "peft", "trl", "datasets", "accelerate")


def start(job: Job, *, python: str | None, in_process: bool) -> None:
    """Run the worker of a job folder.

    Raises:
        MissingExtra: its interpreter lacks a package.
        Locked: a worker of this job is alive.
    """
    request = job.read("request") or {}
    _require(python, request)
    with locked(job.lock, timeout=2) as lock:
        if in_process:
            from tunekit.backends.local.worker import main

            main(job.path)
            return
        _launch(_command(job, python or sys.executable, request), [job], [lock], request)


def start_many(jobs: Sequence[Job], *, python: str | None, in_process: bool) -> None:
    """Run one worker for several job folders, which write one log.

    Raises:
        MissingExtra: its interpreter lacks a package.
        Locked: a worker of one of these jobs is alive.
    """
    request = jobs[0].read("request") or {}
    _require(python, request)
    with ExitStack() as stack:
        locks = [stack.enter_context(locked(job.lock, timeout=2)) for job in jobs]
        if in_process:
            from tunekit.backends.local.many import main

            main([job.path for job in jobs])
            return
        numbers = ",".join(str(lock.fileno()) for lock in locks)
        paths = [str(job.path) for job in jobs]
        module = ["-m", "tunekit.backends.local.many", "--locks", numbers, *paths]
        jobs[0].log.touch(mode=0o600)
        for job in jobs[1:]:
            _link(jobs[0].log, job.log)
        _launch([python or sys.executable, *module], jobs, locks, request)


def _link(log: Path, other: Path) -> None:
    """Give a log another name, by which it outlives the first where the file system can."""
    try:
        os.link(log, other)
    except OSError:
        other.symlink_to(log)


def _launch(
    command: Sequence[str],
    jobs: Sequence[Job],
    locks: Sequence[IO[bytes]],
    request: dict[str, Any],
) -> None:
    with jobs[0].log.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(request),
            pass_fds=[lock.fileno() for lock in locks],
            # A session of its own: Ctrl-C in our terminal is not for the worker.
            start_new_session=True,
        )
    threading.Thread(target=_reap, args=(process, jobs), daemon=True).start()


def _reap(process: subprocess.Popen[bytes], jobs: Sequence[Job]) -> None:
    """Note the exit code while somebody can still know it."""
    code = process.wait()
    for job in jobs:
        if job.path.is_dir():
            job.write("exit", {"code": code})


def _command(job: Job, python: str, request: dict[str, Any]) -> list[str]:
    module = ["-m", "tunekit.backends.local.worker", str(job.path)]
    devices = int(request.get("devices", 1))
    if devices == 1:
        return [python, *module]
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    return [python, *launch, *module]


def _environment(request: dict[str, Any]) -> dict[str, str]:
    threads = str(request.get("threads", 1))
    settings = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Threads that spin while they wait take the processor from the one they wait for: with
        # anything else running, a matrix product is then up to ten times slower.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": str(spins()),
        "TOKENIZERS_PARALLELISM": "true",
        "RAYON_NUM_THREADS": threads,
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        # Large blocks are kept instead of being returned to the system and zeroed again.
        "MALLOC_MMAP_THRESHOLD_": "1073741824",
        "MALLOC_TRIM_THRESHOLD_": "17179869184",
        "MALLOC_TOP_PAD_": "268435456",
    }
    # Where the packages come from is the interpreter's own affair.
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    return {**settings, **inherited, "OMP_NUM_THREADS": threads}


def _require(python: str | None, request: dict[str, Any]) -> None:
    needed = [*_NEEDED]
    if request.get("engine") == "unsloth":
        needed.append("unsloth")
    if (request.get("model") or {}).get("quantization"):
        needed.append("bitsandbytes")
    missing = _missing(python, needed)
    if not missing:
        return
    extra = "unsloth" if "unsloth" in missing else "local"
    interpreter = python or sys.executable
    raise MissingExtra(
        f"{interpreter} lacks {', '.join(missing)}, which training here needs: "
        f"{interpreter} -m pip install 'tunekit-sdk[{extra}]'",
        backend="local",
    )


def _missing(python: str | None, needed: list[str]) -> list[str]:
    if python is None:
        return [name for name in needed if find_spec(name) is None]
    look = (
        "import importlib.util as u, json, sys; "
        "print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n) is None]))"
    )
    answer = subprocess.run(
        [python, "-c", look, *needed], capture_output=True, text=True, check=False, timeout=60
    )
    if answer.returncode != 0:
        return needed
    missing: list[str] = json.loads(answer.stdout)
    return missing
