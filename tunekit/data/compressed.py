"""Files packed with gzip or zstd, unpacked as they are read."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO, Any, cast

from tunekit.errors import MissingExtra

SUFFIXES = (".gz", ".zst")
RATIO_LIMIT = 1000
"""Text packs to a tenth, seldom to a fiftieth; a bomb packs to less than a thousandth."""
_FREE = 64 * 1024**2
"""Below so many bytes the ratio is not looked at."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Damaged(OSError):
    """The packed bytes are cut, damaged or a bomb; never reaches a user."""


def inner(path: Path) -> Path:
    """Give the name of what is packed: `rows.jsonl` for `rows.jsonl.gz`."""
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacked if its first bytes say that it is packed.

    Raises:
        MissingExtra: the file is zstd, and the package for it is not installed.
    """
    file = path.open("rb")
    head = file.read(4)
    file.seek(0)
    if head.startswith(_GZIP):
        return _unpacking(gzip.GzipFile(fileobj=file), file, path)
    if head == _ZSTD:
        return _unpacking(_zstd(path).ZstdDecompressor().stream_reader(file), file, path)
    return file


def _zstd(path: Path) -> Any:
    try:
        import zstandard
    except ImportError:
        raise MissingExtra(
            f"{path} is packed with zstd, and zstandard is not installed: "
            "pip install 'tunekit-sdk[data]', or unpack the file: unzstd"
        ) from None
    return zstandard


def _unpacking(packed: Any, file: IO[bytes], path: Path) -> IO[bytes]:
    raw = _Unpacking(packed, file, path.stat().st_size)
    return cast("IO[bytes]", io.BufferedReader(raw, 1 << 20))


class _Unpacking(io.RawIOBase):
    def __init__(self, packed: Any, file: IO[bytes], size: int) -> None:
        self._packed = packed
        self._file = file
        self._most = max(_FREE, RATIO_LIMIT * size)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._packed.read(len(buffer))
        except Exception as error:
            # Each packer has exceptions of its own.
            raise Damaged(f"the packed file is cut off or damaged ({error})") from None
        self._read += len(block)
        if self._read > self._most:
            raise Damaged(f"the file unpacks to more than {RATIO_LIMIT} times its size")
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._file.close()
        super().close()
