"""Writing files so that a crash leaves the old one or the new one, and locks that die with us."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from tunekit.errors import TunekitError

try:
    import fcntl as _fcntl
except ImportError:  # Windows
    fcntl: Any = None
else:
    fcntl = _fcntl


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole: temporary file, fsync, rename, fsync of the folder. Mode 0600."""
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Hash a file (hex)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Locked(TunekitError):
    """Somebody else holds the lock."""


@contextlib.contextmanager
def locked(path: Path, *, timeout: float = 30.0) -> Generator[IO[bytes], None, None]:
    """Hold an exclusive lock on a file while the block runs.

    The lock belongs to the open file: a child that inherits it goes on holding it.

    Raises:
        Locked: somebody else held it for `timeout` seconds.
    """
    file = open_lock(path)
    try:
        _acquire(file, path, timeout)
        yield file
    finally:
        file.close()


def open_lock(path: Path) -> IO[bytes]:
    """Open a lock file without taking the lock."""
    if fcntl is None:
        raise TunekitError(
            "runs need POSIX file locks, which Windows lacks: "
            "use tunekit inside WSL 2 (planning and checking specs work here)"
        )
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def is_held(path: Path) -> bool:
    """Say whether a live process holds the lock."""
    if not path.exists():
        return False
    with open_lock(path) as file:
        # Shared, so that two processes asking at once do not see each other.
        return not _try(file, shared=True)


def _acquire(file: IO[bytes], path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not _try(file):
        if time.monotonic() >= deadline:
            raise Locked(f"{path} is held by another process")
        time.sleep(0.01)


def _try(file: IO[bytes], *, shared: bool = False) -> bool:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
