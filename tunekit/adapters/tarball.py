"""The members of a tar archive, by a reader of our own that only goes forward.

Read are the forms that tar, Python, Go and Rust write: V7, ustar (POSIX.1-1988), pax
(POSIX.1-2001) and GNU, the long names and sizes of the last two included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tunekit.adapters.members import Member, named, shown
from tunekit.adapters.packing import BLOCK, Refused, Stream

_SIZE = 512
_MOST_EXTENSION = 1 << 16
_MOST_EXTENSIONS = 200
_MOST_PADDING = 1 << 24
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_PAX = re.compile(rb"([1-9]\d{0,6}) ")

_KINDS = {
    b"0": "file",
    b"\0": "file",
    b"5": "folder",
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
    b"M": "part of a file",
}


@dataclass
class _Extension:
    """What the entries before a member say of it: a long name, a size beyond 8 GB."""

    name: str | None = None
    size: int | None = None

    def take_name(self, name: str) -> None:
        if self.name is not None:
            raise Refused(f"{shown(name)}: is named twice")
        self.name = name

    def take_size(self, size: int) -> None:
        if self.size is not None:
            raise Refused("says the size of a member twice")
        self.size = size


def members(stream: Stream) -> Iterator[Member]:
    """Give the members in order.

    Raises:
        Refused: the bytes are no tar archive, are cut short or go on behind its end.
    """
    extension, extensions = _Extension(), 0
    first = True
    while (block := stream.read(_SIZE)).strip(b"\0"):
        kind = _checked(block, first=first)
        first = False
        if kind in b"xgL" and kind:
            extensions += 1
            if extensions > _MOST_EXTENSIONS:
                raise Refused("describes its members in too many parts")
            _extend(extension, kind, block, stream)
            continue
        yield from _member(block, kind, extension, stream)
        extension = _Extension()
    _require_end(block, stream, empty=first)


def _member(block: bytes, kind: bytes, extension: _Extension, stream: Stream) -> Iterator[Member]:
    name = extension.name if extension.name is not None else _name(block)
    size = extension.size if extension.size is not None else _number(block[124:136])
    what = _KINDS.get(kind, "of an unknown kind")
    if what == "file" and name.endswith("/"):
        what = "folder"
    if what == "folder" and size:
        what = "a folder with content"
    content = named(name, stream.portions(size if what == "file" else 0))
    yield Member(name, what, size, content)
    for _ in content:
        pass
    stream.exactly(-size % _SIZE if what == "file" else 0)


def _checked(block: bytes, *, first: bool) -> bytes:
    """Check the sum of a header (signed, as some old writers have it, or not); give its kind."""
    damaged = "is no tar, tar.gz, tar.zst or zip" if first else "is damaged; fetch it again"
    if len(block) < _SIZE:
        raise Refused(damaged if first else "is cut short; fetch it again")
    plain = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in plain)
    match = _OCTAL.fullmatch(block[148:156])
    if not match or int(match[1] or b"0", 8) not in (sum(plain), signed):
        raise Refused(damaged)
    return block[156:157]


def _extend(extension: _Extension, kind: bytes, block: bytes, stream: Stream) -> None:
    size = _number(block[124:136])
    if size > _MOST_EXTENSION:
        raise Refused(f"describes a member in {size} bytes; at most {_MOST_EXTENSION} are read")
    content = stream.exactly(size)
    stream.exactly(-size % _SIZE)
    if kind == b"L":
        extension.take_name(_text(content.rstrip(b"\0")))
        return
    for key, value in _records(content):
        if key.startswith(b"GNU.sparse"):
            raise Refused("holds a sparse file; only plain files are taken")
        if kind == b"g" and key in (b"path", b"size", b"linkpath"):
            raise Refused("gives all its members one name or size")
        if key == b"path":
            extension.take_name(_text(value))
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise Refused("has a member with no sensible size")
            extension.take_size(int(value))


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the records of a pax header: `LENGTH KEY=VALUE` and a newline each."""
    at = 0
    while at < len(content):
        match = _PAX.match(content, at)
        end = at + int(match[1]) if match else 0
        if not match or end <= match.end() or end > len(content) or content[end - 1] != 0x0A:
            raise Refused("is damaged: a pax header is malformed")
        key, equals, value = content[match.end() : end - 1].partition(b"=")
        if not equals:
            raise Refused("is damaged: a pax header is malformed")
        yield key, value
        at = end


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0")[0]
    # Only ustar has a prefix; GNU keeps times there.
    prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Read an octal number, or GNU's base 256; none is negative."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
        if number >= 1 << 63:
            raise Refused("has a member with no sensible size")
        return number
    match = _OCTAL.fullmatch(field)
    if not match:
        raise Refused("has a member with no sensible size")
    return int(match[1] or b"0", 8)


def _require_end(block: bytes, stream: Stream, *, empty: bool) -> None:
    """A block of zeros ends the archive, and nothing but zeros follows."""
    if len(block) < _SIZE:
        raise Refused("is no archive: it is empty" if empty else "is cut short; fetch it again")
    padding = 0
    while rest := stream.read(BLOCK):
        padding += len(rest)
        if rest.strip(b"\0") or padding > _MOST_PADDING:
            raise Refused("goes on behind its end")
