"""The files as a service gets them: written once, and hashed again while they are sent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tunekit.data.issues import Fault, Issue, require
from tunekit.data.rows import Row, Where
from tunekit.errors import DataError
from tunekit.files import sync_folder

_ROW: TypeAdapter[Row] = TypeAdapter(Row)
_BLOCK = 1 << 20

Native = Callable[[Row], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One file as it goes out."""

    name: str
    """`train` or `validation`."""
    path: Path
    sha256: str
    size: int
    rows: int

    def blocks(self) -> Iterator[bytes]:
        """Read the bytes; the last block is held back until the whole is what was hashed.

        Raises:
            DataError: the file is another one than was checked.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            yield from held_back(iter(lambda: file.read(_BLOCK), b""), self.sha256, self.path)


def held_back(blocks: Iterable[bytes], sha256: str, path: Path) -> Iterator[bytes]:
    """Give blocks, the last one only when all of them are what was hashed.

    Raises:
        DataError: they are not; `path` is named.
    """
    digest, held = hashlib.sha256(), b""
    for block in blocks:
        digest.update(block)
        if held:
            yield held
        held = block
    if digest.hexdigest() != sha256:
        raise changed(path)
    yield held


def changed(path: Path) -> DataError:
    """Make the error of a file that is another one than was checked."""
    return DataError(
        f"{path} was changed after its rows were checked; nothing was bought: "
        "submit the run anew, from the rows that are meant"
    )


def write(source: Path, digest: str, into: Path, native: Native) -> Sent:
    """Write canonical rows as a service reads them; the same rows give the same bytes.

    Args:
        source: the rows, as they were checked.
        digest: their sha256 when they were.
        into: the file; replaced.
        native: gives a row in the service's form.

    Raises:
        DataError: the rows were changed, or the service has no form for one.
    """
    checked, out, rows = hashlib.sha256(), hashlib.sha256(), 0
    faults: list[Issue] = []
    part = into.with_name(f".{into.name}.part")
    with source.open("rb") as lines, part.open("wb") as file:
        for number, line in enumerate(lines, start=1):
            checked.update(line)
            try:
                row = native(_row(line, source, number))
            except Fault as fault:
                faults.append(fault.at(str(source), number))
                continue
            written = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            out.update(written)
            file.write(written)
            rows += 1
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    if checked.hexdigest() != digest:
        part.unlink()
        raise changed(source)
    require(faults)
    part.chmod(0o600)
    part.replace(into)
    sync_folder(into.parent)
    return Sent(name=into.stem, path=into, sha256=out.hexdigest(), size=size, rows=rows)


def _row(line: bytes, source: Path, number: int) -> Row:
    try:
        where = Where(file=str(source), line=number)
        return _ROW.validate_python({**json.loads(line), "where": where})
    except (ValueError, TypeError, ValidationError):
        raise changed(source) from None
