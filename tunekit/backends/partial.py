"""A file that is on its way: the bytes so far, and what they are bytes of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from tunekit.errors import AdapterError
from tunekit.files import locked, sync_folder, write_atomic

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_BLOCK = 1 << 20


class Partial:
    """`NAME.part` and `NAME.part.json`, beside where the file will appear.

    What was written before this machine last started may not have reached the disk: it is not
    trusted.
    """

    def __init__(self, into: Path, file: IO[bytes]) -> None:
        self.path = _part(into)
        self.size = 0
        self.etag = ""
        """Strong, or empty: then the rest cannot be asked for."""
        self.total: int | None = None
        self._into = into
        self._file = file
        self._sidecar = _sidecar(into)
        self._md5 = ""

    def take_up(self, sha256: str | None) -> None:
        """Go on from what an earlier process left, if it belongs to the same object."""
        kept = self._kept()
        there = os.fstat(self._file.fileno()).st_size
        total = kept.get("size")
        same = kept.get("boot") == _boot() and (sha256 is None or kept.get("sha256") == sha256)
        if same and kept.get("etag") and (total is None or there <= total):
            self.etag, self.total, self._md5 = kept["etag"], total, kept.get("md5", "")
            self.size = self._file.seek(there)

    def begin(self, *, etag: str, total: int | None, sha256: str | None, md5: str) -> None:
        """Throw away what is there, and say what is to come."""
        self.forget()
        self._file.seek(0)
        self._file.truncate()
        self.size, self.etag, self.total, self._md5 = 0, etag, total, md5
        if etag:
            kept = {"etag": etag, "size": total, "sha256": sha256, "md5": md5, "boot": _boot()}
            write_atomic(self._sidecar, json.dumps(kept))

    def forget(self) -> None:
        """Trust the bytes no longer; they stay until others come."""
        self._sidecar.unlink(missing_ok=True)
        self.size, self.etag, self.total, self._md5 = 0, "", None, ""

    def write(self, block: bytes) -> None:
        """Add bytes; they are the system's at once, so that `kill -9` loses none."""
        self._file.write(block)
        self._file.flush()
        self.size += len(block)

    def finish(self, *, size: int | None, sha256: str | None) -> None:
        """Verify the whole, and let it appear under its name.

        Raises:
            AdapterError: it is not what was promised.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._verify(size, sha256)
        self.path.replace(self._into)
        self._sidecar.unlink(missing_ok=True)
        sync_folder(self._into.parent)

    def discard(self) -> None:
        """Leave nothing behind."""
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)

    def _verify(self, size: int | None, sha256: str | None) -> None:
        if self.size == 0 or (size is not None and self.size != size):
            told = "" if size is None else f", and {size:,} were promised"
            raise AdapterError(f"{self._into.name}: {self.size:,} bytes came{told}")
        for name, wanted in (("sha256", sha256), ("md5", self._md5)):
            if wanted and (found := self._digest(name)) != wanted:
                raise AdapterError(
                    f"{self._into.name}: the bytes that came are others than were sent "
                    f"({name} {found}, promised {wanted})"
                )

    def _digest(self, name: str) -> str:
        digest = hashlib.new(name, usedforsecurity=False)
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            digest.update(block)
        return digest.hexdigest()

    def _kept(self) -> dict[str, Any]:
        try:
            found: Any = json.loads(self._sidecar.read_bytes())
            texts = [found[name] for name in ("etag", "boot", "md5")]
            sound = all(isinstance(text, str) for text in texts)
            sound = sound and (found["size"] is None or isinstance(found["size"], int))
        except (OSError, ValueError, LookupError, TypeError):
            return {}
        return found if sound else {}


@contextlib.contextmanager
def held(into: Path) -> Generator[Partial, None, None]:
    """Hold the partial file of `into`: two processes never write it at once.

    Raises:
        Locked: another process downloads it.
    """
    while True:
        with locked(_part(into), timeout=0.0) as file:
            # The other holder may have renamed it between our opening and our locking.
            if not _is_named(file, _part(into)):
                continue
            part = Partial(into, file)
            try:
                yield part
            finally:
                file.flush()
                if not part.size and not part.etag and _is_named(file, part.path):
                    part.discard()
            return


def _is_named(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _part(into: Path) -> Path:
    return into.with_name(f"{into.name}.part")


def _sidecar(into: Path) -> Path:
    return into.with_name(f"{into.name}.part.json")


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
