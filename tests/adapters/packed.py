"""Archives, hostile ones among them, in four containers."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

CONTAINERS = ("tar", "tar.gz", "tar.zst", "zip")
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class Entry:
    """One member: a file unless `type` (of tar) or `mode` (of zip) says otherwise."""

    name: str
    content: bytes = b"{}"
    type: bytes = tarfile.REGTYPE
    mode: int = stat.S_IFREG
    link: str = ""


def link(name: str, target: str) -> Entry:
    return Entry(name, b"", tarfile.SYMTYPE, stat.S_IFLNK, target)


def folder(name: str) -> Entry:
    return Entry(name.rstrip("/") + "/", b"", tarfile.DIRTYPE, stat.S_IFDIR)


def tar_info(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.name)
    info.type, info.linkname, info.size = entry.type, entry.link, len(entry.content)
    return info


def tar(entries: Sequence[Entry], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for entry in entries:
            archive.addfile(tar_info(entry), io.BytesIO(entry.content))
    return out.getvalue()


def zipped(entries: Sequence[Entry], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)
        for entry in entries:
            info = zipfile.ZipInfo(entry.name)
            info.filename = entry.name
            info.compress_type = method
            info.external_attr = (entry.mode | 0o600) << 16
            archive.writestr(info, entry.link.encode() or entry.content)
    return out.getvalue()


def wrapped(content: bytes, container: str) -> bytes:
    """Pack the bytes of a tar as the container says."""
    if container == "tar.gz":
        return gzip.compress(content, 1, mtime=0)
    if container == "tar.zst":
        import zstandard

        return zstandard.ZstdCompressor(write_checksum=True).compress(content)
    return content


def packed(entries: Sequence[Entry], container: str) -> bytes:
    return zipped(entries) if container == "zip" else wrapped(tar(entries), container)


def header(name: str, size: bytes, kind: bytes = b"0", **changes: Any) -> bytes:
    """Give a tar header with this field for the size, its sum right."""
    block = bytearray(tar_info(Entry(name, b"", kind)).tobuf(tarfile.GNU_FORMAT)[-512:])
    block[124:136] = size.ljust(12, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def block(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def octal(size: int) -> bytes:
    return b"%011o\0" % size


def changed_zip(entries: Sequence[Entry], change: Callable[[bytearray], None]) -> bytes:
    content = bytearray(zipped(entries))
    change(content)
    return bytes(content)


def central(content: bytearray, number: int = 0) -> int:
    """Find an entry of the central directory of a zip."""
    at = -1
    for _ in range(number + 1):
        at = content.index(b"PK\x01\x02", at + 1)
    return at


def put(content: bytearray, at: int, form: str, value: int) -> None:
    struct.pack_into(form, content, at, value)
