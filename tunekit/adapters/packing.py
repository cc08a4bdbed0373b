"""The bytes of an archive, unpacked as they are read, within limits of size and time."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any

from tunekit.errors import MissingExtra

RATIO = 100
"""Weights pack to a half at best; a bomb packs to less than a hundredth."""
WINDOW = 1 << 27
"""zstd keeps so many bytes in memory at most: what `zstd --long` asks for."""
BLOCK = 1 << 18

_FREE = 64 << 20
"""Below so many bytes the ratio is not looked at."""
_MOST_STREAMS = 100_000
_PATIENCE = 60.0
_PACE = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Refused(Exception):
    """What is wrong with an archive, in words; never reaches a user."""


class Meter:
    """Stops what unpacks to too much, or takes too long for what it gives."""

    def __init__(self, packed: int, most_bytes: int) -> None:
        self._most = most_bytes
        self._bomb = max(_FREE, RATIO * packed)
        self._seen = 0
        self._start = time.monotonic()

    def count(self, size: int) -> None:
        """Take note of bytes that were unpacked."""
        self._seen += size
        if self._seen > self._most:
            raise Refused(f"unpacks to more than {self._most} bytes")
        if self._seen > self._bomb:
            raise Refused(f"unpacks to more than {RATIO} times its size")
        if time.monotonic() - self._start > _PATIENCE + self._seen / _PACE:
            raise Refused("takes too long to unpack")


class Stream:
    """Reads an archive forward, unpacked where its first bytes say gzip or zstd."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self._blocks = _unpacked(file)
        self._meter = Meter(os.fstat(file.fileno()).st_size, most_bytes)
        self._buffer = b""

    def read(self, size: int) -> bytes:
        """Give so many bytes, or fewer at the end; memory is bounded by `size` and a block."""
        parts, had = [self._buffer], len(self._buffer)
        while had < size and (block := next(self._blocks, None)) is not None:
            self._meter.count(len(block))
            parts.append(block)
            had += len(block)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def exactly(self, size: int) -> bytes:
        """Give so many bytes."""
        content = self.read(size)
        if len(content) < size:
            raise Refused("is cut short; fetch it again")
        return content

    def portions(self, size: int) -> Iterator[bytes]:
        """Give so many bytes in blocks."""
        while size > 0:
            block = self.exactly(min(size, BLOCK))
            size -= len(block)
            yield block


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    head = file.read(4)
    file.seek(0)
    if head.startswith(_GZIP):
        return _gunzip(file)
    if head == _ZSTD:
        return _unzstd(file)
    return iter(lambda: file.read(BLOCK), b"")


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    """Unpack one gzip stream after the other; zeros behind the last are padding."""
    data = file.read(BLOCK)
    for _ in range(_MOST_STREAMS):
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            yield _inflate(unpacker, data)
            data = unpacker.unused_data or unpacker.unconsumed_tail or file.read(BLOCK)
        while data and not data.strip(b"\0"):
            data = file.read(BLOCK)
        if not data:
            return
    raise Refused("is gzip in too many parts")


def _inflate(unpacker: Any, data: bytes) -> bytes:
    try:
        block: bytes = unpacker.decompress(data, BLOCK)
    except zlib.error as error:
        raise Refused(f"is damaged, fetch it again: {error}") from None
    if not data and not block and not unpacker.eof:
        raise Refused("is cut short; fetch it again")
    return block


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    reader = _zstd_reader(file)
    while True:
        try:
            block: bytes = reader.read(BLOCK)
        except Exception as error:
            # Each library has exceptions of its own.
            raise Refused(f"is damaged, or asks for too much memory: {error}") from None
        if not block:
            return
        yield block


def _zstd_reader(file: IO[bytes]) -> Any:
    try:
        library: Any = import_module("zstandard")
    except ImportError:
        return _own_zstd_reader(file)
    unpacker = library.ZstdDecompressor(max_window_size=WINDOW)
    return unpacker.stream_reader(file, read_size=BLOCK, read_across_frames=True)


def _own_zstd_reader(file: IO[bytes]) -> Any:
    """Read with what Python has from 3.14 on."""
    try:
        library: Any = import_module("compression.zstd")
    except ImportError:
        raise MissingExtra(
            "the archive is packed with zstd, and zstandard is not installed: "
            "pip install 'tunekit-sdk[data]'"
        ) from None
    limit = {library.DecompressionParameter.window_log_max: WINDOW.bit_length() - 1}
    return library.ZstdFile(file, options=limit)
