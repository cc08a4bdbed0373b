"""Rows as canonical JSONL, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tunekit.data.issues import Issue, require
from tunekit.data.rows import Row, Where
from tunekit.files import write_atomic

_ROW: TypeAdapter[Row] = TypeAdapter(Row)


def write(rows: Iterable[Row], path: Path) -> str:
    """Write one row a line; the file appears whole or not at all.

    Returns:
        The sha256 of the bytes, hex.
    """
    content = "".join(f"{row.json_line()}\n" for row in rows).encode()
    write_atomic(path, content)
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> Iterator[Row]:
    """Read rows that `write` wrote; their place is this file.

    Raises:
        DataError: the file was changed by something else.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            where = Where(file=str(path), line=number)
            try:
                yield _ROW.validate_python({**json.loads(line), "where": where})
            except (ValueError, TypeError, ValidationError):
                require([_changed(where)])


def _changed(where: Where) -> Issue:
    return Issue(
        code="not-canonical",
        file=where.file,
        line=where.line,
        message="the line is not a row as tunekit writes them",
        fix="submit the run again; the file was changed after it was written",
    )
