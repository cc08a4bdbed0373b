"""The numbers of a tensor, looked at as bytes: finite, and not all zero."""

from __future__ import annotations

from pathlib import Path

from tunekit.adapters.header import Tensor, blocks

_EVERY = bytes(range(256))


def _with(bits: int) -> bytes:
    """Give the bytes that have all these bits."""
    return bytes(byte for byte in range(256) if byte & bits == bits)


# A number is infinite or not one when every bit of its exponent is set. The exponent lies in
# the last byte (little-endian), after the sign, and for some types goes on in the one before.
_EXPONENT = {
    "F64": (8, _with(0x7F), _with(0xF0)),
    "F32": (4, _with(0x7F), _with(0x80)),
    "BF16": (2, _with(0x7F), _with(0x80)),
    "F16": (2, _with(0x7C), _EVERY),
}
FLOATS = frozenset(_EXPONENT)
_ONE = {
    "F64": b"\0\0\0\0\0\0\xf0\x3f",
    "F32": b"\0\0\x80\x3f",
    "BF16": b"\x80\x3f",
    "F16": b"\0\x3c",
}


def is_finite(file: Path, tensor: Tensor) -> bool:
    """Say whether every number is finite; types other than `FLOATS` always are."""
    if tensor.dtype not in _EXPONENT:
        return True
    size, last, before = _EXPONENT[tensor.dtype]
    return not any(_special(block, size, last, before) for block in blocks(file, tensor))


def is_zero(file: Path, tensor: Tensor) -> bool:
    """Say whether every number is zero, of either sign."""
    return not any(block.strip(b"\0\x80") for block in blocks(file, tensor))


def is_one(file: Path, tensor: Tensor) -> bool:
    """Say whether every number is one; false for types other than `FLOATS`."""
    one = _ONE.get(tensor.dtype)
    if one is None:
        return False
    return all(block == one * (len(block) // len(one)) for block in blocks(file, tensor))


def _special(block: bytes, size: int, last: bytes, before: bytes) -> bool:
    high = block[size - 1 :: size]
    if len(high.translate(None, last)) == len(high):
        return False
    low = block[size - 2 :: size]
    return any(one in last and two in before for one, two in zip(high, low, strict=True))
