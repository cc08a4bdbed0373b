"""Large files, part by part; no more than a block is ever in memory."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tunekit.backends.answer import Conflict
from tunekit.backends.http import Http
from tunekit.backends.sent import Sent, changed, held_back
from tunekit.backends.together import said
from tunekit.errors import BackendError

PART_BYTES = 250_000_000
_MOST_PARTS = 250
_BLOCK = 1 << 20
_SLOWEST = 1 << 20
_ROOT = "/v1/files/multipart"


@dataclass(frozen=True)
class Part:
    """A stretch of a file."""

    path: Path
    number: int
    """From 1."""
    start: int
    size: int
    sha256: str

    def blocks(self) -> Iterator[bytes]:
        """Read the bytes; the last block is held back until the whole is what was hashed.

        Raises:
            DataError: the file is another one than was checked.
        """
        with self.path.open("rb") as file:
            file.seek(self.start)
            yield from held_back(_read(file, self.size), self.sha256, self.path)


def cut(file: Sent, *, size: int) -> list[Part]:
    """Cut a file into parts of at most `size` bytes, or of larger ones where they are too many.

    Raises:
        DataError: the file is another one than was checked.
    """
    size = max(size, -(-file.size // _MOST_PARTS))
    whole, parts = hashlib.sha256(), list[Part]()
    with file.path.open("rb") as opened:
        for number, start in enumerate(range(0, file.size, size), start=1):
            digest, length = hashlib.sha256(), min(size, file.size - start)
            for block in _read(opened, length):
                digest.update(block)
                whole.update(block)
            parts.append(Part(file.path, number, start, length, digest.hexdigest()))
    if whole.hexdigest() != file.sha256:
        raise changed(file.path)
    return parts


def in_parts(http: Http, file: Sent, *, size: int, fields: Mapping[str, Any]) -> str:
    """Upload a file part by part; gives its id, or that of the same file that is there.

    Raises:
        BackendError: a part did not arrive, retries included; nothing is left there.
    """
    parts = cut(file, size=size)
    asked = {**fields, "file_size": file.size, "num_parts": len(parts)}
    try:
        begun = http.post(f"{_ROOT}/initiate", asked, idempotent=True)
    except Conflict as conflict:
        return _there(conflict)
    upload = {name: said.text(begun, name) for name in ("upload_id", "file_id")}
    try:
        tags = _put(http, parts, said.items(begun, "parts"))
        done = http.post(f"{_ROOT}/complete", {**upload, "parts": tags}, idempotent=True)
    except BaseException:
        with contextlib.suppress(BackendError):
            http.post(f"{_ROOT}/abort", upload, idempotent=True)
        raise
    return said.text(said.part(done, "file"), "id") or upload["file_id"]


def _put(http: Http, parts: list[Part], places: list[said.Told]) -> list[dict[str, Any]]:
    where = {said.number(place, "PartNumber"): place for place in places}
    tags: list[dict[str, Any]] = []
    for part in parts:
        place = where.get(part.number, {})
        headers = {str(name): str(value) for name, value in said.part(place, "Headers").items()}
        answer = http.signed(
            "PUT",
            str(place.get("URL", "")),
            body=part.blocks,
            headers={**headers, "Content-Length": str(part.size)},
            timeout=max(600.0, part.size / _SLOWEST),
        )
        tag = answer.headers.get("etag", "")
        if not tag:
            raise said.unreadable(f"part {part.number} was answered without an ETag")
        tags.append({"part_number": part.number, "etag": tag})
    return tags


def _there(conflict: Conflict) -> str:
    file_id = said.text(said.part({"told": conflict.content}, "told"), "file_id")
    if not file_id:
        raise conflict
    return file_id


def _read(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (block := file.read(min(_BLOCK, size))):
        size -= len(block)
        yield block
