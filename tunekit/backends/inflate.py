"""Bytes that a service sent compressed, as a whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_EITHER = 32 + zlib.MAX_WBITS
"""gzip or zlib, as its head says."""
_BLOCK = 1 << 20


class Broken(Exception):
    """The encoding is not what it says, or breaks off."""


def inflated(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Decode gzip or deflate, a megabyte at a time.

    Raises:
        Broken: it is neither, ends early, or goes on after its end.
    """
    engine = zlib.decompressobj(wbits=_EITHER)
    for part in parts:
        if engine.eof and part:
            raise Broken("it goes on after its end")
        try:
            while part:
                yield engine.decompress(part, _BLOCK)
                part = engine.unconsumed_tail
        except zlib.error as error:
            raise Broken(str(error)) from None
    if not engine.eof or engine.unused_data:
        raise Broken("it ends early, or goes on after its end")
