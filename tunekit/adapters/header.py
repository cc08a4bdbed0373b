"""The header of a safetensors file, read by hand before any library opens the file.

The format: 8 bytes with the length of the header, the header as JSON, the numbers.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tunekit.errors import AdapterError

MOST_BYTES = 1 << 20
MOST_TENSORS = 20_000
_BLOCK = 1 << 23

SIZES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


@dataclass(frozen=True)
class Tensor:
    """One entry: where its numbers stand in the file, in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, by name.

    Raises:
        AdapterError: the header is longer than 1 MB, no JSON, says a name twice, or its
            tensors do not fill the file from end to end.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = _length(stream.read(8), size, file)
        text = stream.read(length)
    content = _parse(text, file)
    content.pop("__metadata__", None)
    if len(content) > MOST_TENSORS:
        raise AdapterError(f"{file}: holds {len(content)} tensors; at most {MOST_TENSORS} are read")
    tensors = [_tensor(name, entry, 8 + length, file) for name, entry in content.items()]
    _require_tiled(tensors, 8 + length, size, file)
    return {tensor.name: tensor for tensor in tensors}


def blocks(file: Path, tensor: Tensor) -> Iterator[bytes]:
    """Read the bytes of a tensor in portions of whole numbers."""
    left = tensor.end - tensor.start
    with file.open("rb") as stream:
        stream.seek(tensor.start)
        while left > 0:
            block = stream.read(min(_BLOCK, left))
            if not block:
                raise AdapterError(f"{file}: ends in the middle of {tensor.name}")
            left -= len(block)
            yield block


def _length(start: bytes, size: int, file: Path) -> int:
    length: int = struct.unpack("<Q", start)[0] if len(start) == 8 else size
    if length > size - 8:
        raise AdapterError(f"{file}: is cut short, or no safetensors file; fetch it again")
    if length > MOST_BYTES:
        raise AdapterError(f"{file}: the header has {length} bytes; at most {MOST_BYTES} are read")
    return length


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make the mapping of a JSON object that says no key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _parse(text: bytes, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{file}: the header is not what safetensors writes: {error}") from None
    if not isinstance(content, dict):
        raise AdapterError(f"{file}: the header is not what safetensors writes: no JSON object")
    return cast("dict[str, Any]", content)


def _tensor(name: str, entry: Any, offset: int, file: Path) -> Tensor:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        size = SIZES[dtype]
        whole = all(type(number) is int and number >= 0 for number in (*shape, start, end))
    except (KeyError, TypeError, ValueError):
        whole = False
        shape, start, end, dtype, size = (), 0, 0, "", 0
    if not whole or end - start != math.prod(shape) * size:
        raise AdapterError(f"{file}: the header gives {name!r} no dtype, shape and place that fit")
    return Tensor(name, dtype, tuple(shape), offset + start, offset + end)


def _require_tiled(tensors: list[Tensor], start: int, size: int, file: Path) -> None:
    """Every byte belongs to one tensor: nothing hides between them, and nothing is shared."""
    at = start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
        if tensor.start != at:
            raise AdapterError(f"{file}: {tensor.name!r} does not begin where the last one ends")
        at = tensor.end
    if at != size:
        raise AdapterError(f"{file}: the tensors fill {at} of {size} bytes; fetch it again")
