"""The members of a zip archive, read with `zipfile` through a window that bounds its memory."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Generator, Iterator
from typing import IO, Any, cast

from tunekit.adapters.members import Member, named, shown
from tunekit.adapters.packing import BLOCK, Meter, Refused

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

_MOST_READ = 1 << 20
"""A list of 64 members is shorter; `zipfile` reads the whole list at once."""
_ENCRYPTED = 0x1 | 0x40
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def members(file: IO[bytes], most_bytes: int) -> Iterator[Member]:
    """Give the members in order.

    Raises:
        Refused: the archive is damaged, encrypted or packed by a method other than deflate.
    """
    size = os.fstat(file.fileno()).st_size
    meter = Meter(size, most_bytes)
    with _refusing(), zipfile.ZipFile(cast("IO[bytes]", _Window(file))) as archive:
        entries = archive.infolist()
        _require_apart(entries, size)
        for entry in entries:
            meter.count(entry.file_size)
            name = _name(entry)
            content = named(name, _read(archive, entry))
            yield Member(name, _kind(entry), entry.file_size, content)


@contextlib.contextmanager
def _refusing() -> Generator[None, None, None]:
    """Turn what `zipfile` raises on bad bytes into words."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise Refused(f"is damaged, fetch it again: {shown(str(error))}") from None
    except RuntimeError as error:
        raise Refused(f"cannot be read: {shown(str(error))}") from None


class _Window(io.RawIOBase):
    """Lets a reader ask for a little at a time only."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        if size > _MOST_READ:
            raise Refused("has a list of members that is too long")
        content = self._file.read(size if size >= 0 else _MOST_READ + 1)
        if len(content) > _MOST_READ:
            raise Refused("has a list of members that is too long")
        return content


def _require_apart(entries: list[zipfile.ZipInfo], size: int) -> None:
    """No two members share bytes, which would let a small archive hold any number of them."""
    at, last = 0, ""
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < 0:
            raise Refused(f"{shown(entry.filename)}: lies before the archive; fetch it again")
        if entry.header_offset < at:
            raise Refused(f"{shown(entry.filename)}: lies over {shown(last)}")
        at, last = entry.header_offset + 30 + entry.compress_size, entry.filename
    if at > size:
        raise Refused(f"{shown(last)}: is cut short; fetch the archive again")


def _name(entry: zipfile.ZipInfo) -> str:
    """Give the name as it stands there; `zipfile` cuts it off at a zero byte."""
    return cast("str", cast("Any", entry).orig_filename)


def _kind(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & _ENCRYPTED:
        return "encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed by a method other than deflate"
    mode = stat.S_IFMT(entry.external_attr >> 16)
    kind = _KINDS.get(mode, "of an unknown kind") if mode else "file"
    if kind == "file" and _name(entry).endswith("/"):
        kind = "folder"
    return "a folder with content" if kind == "folder" and entry.file_size else kind


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    left = entry.file_size
    with _refusing(), archive.open(entry) as content:
        while block := content.read(BLOCK):
            left -= len(block)
            yield block
    if left:
        raise Refused("does not have the size it says")
