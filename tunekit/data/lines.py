"""The lines of a text file, checked as bytes before anything parses them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tunekit.data.compressed import open_bytes
from tunekit.data.issues import Issue

LINE_LIMIT = 32 * 1024 * 1024
"""Bytes a row may have."""

_WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

_PACKED = {
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unzip it, or save the sheet as CSV:"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
}


def lines(path: Path, issues: list[Issue]) -> Iterator[tuple[int, str]]:
    """Give number and text of every line that is sound, its line break included.

    A byte order mark is skipped. A line with an issue is left out.
    """
    with open_bytes(path) as file:
        if whole := whole_file(path, file.read(4096)):
            issues.append(whole)
            return
    with open_bytes(path) as file:
        number = 0
        while raw := file.readline(LINE_LIMIT + 1):
            number += 1
            if len(raw) > LINE_LIMIT:
                issues.append(_huge(path, number))
                _skip_line(file, raw)
                continue
            text = decode(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw)
            if isinstance(text, str):
                yield number, text
            else:
                issues.append(placed(text, path, line=number))


def placed(issue: Issue, path: Path, *, line: int = 0) -> Issue:
    """Name the file in an issue that `decode` found, and the line where it is known better."""
    fix = issue.fix.replace("FILE", str(path))
    return issue.model_copy(update={"file": str(path), "line": line or issue.line, "fix": fix})


def whole_file(path: Path, head: bytes) -> Issue | None:
    """Say what makes the file unreadable as a whole, from its first bytes."""
    for magic, (name, command) in _PACKED.items():
        if head.startswith(magic):
            return Issue(
                code="compressed",
                file=str(path),
                message=f"the file is {name}, not text",
                fix=f"unpack it first: {command} {path}",
            )
    encoding = next((name for mark, name in _WIDE.items() if head.startswith(mark)), "")
    if not encoding and len(head) >= 4 and head.count(0) * 3 > len(head):
        encoding = "UTF-16LE" if head[1] == 0 else "UTF-16BE"
    return placed(_not_utf8(encoding), path) if encoding else None


def decode(raw: bytes) -> str | Issue:
    """Read bytes as UTF-8, or give the issue, its line counted from 1 within `raw`."""
    nul = raw.find(b"\0")
    if nul >= 0:
        return Issue(
            code="nul-byte",
            file="",
            line=raw.count(b"\n", 0, nul) + 1,
            column=nul - raw.rfind(b"\n", 0, nul),
            message="the text holds a NUL byte",
            fix="the file may be damaged; remove the bytes: tr -d '\\000' < FILE > FILE.clean",
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = {
            "line": raw.count(b"\n", 0, error.start) + 1,
            "column": error.start - raw.rfind(b"\n", 0, error.start),
        }
        return _not_utf8(_guess(raw, error)).model_copy(update=where)


def _guess(raw: bytes, error: UnicodeDecodeError) -> str:
    """Name the most likely encoding of bytes that are not UTF-8."""
    # Halves of UTF-16 pairs written as characters (CESU-8), or a character cut in two.
    if "end of data" in error.reason or b"\xed\xa0" <= raw[error.start :][:2] <= b"\xed\xbf":
        return ""
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return "ISO-8859-1"
    return "WINDOWS-1252"


def _not_utf8(encoding: str) -> Issue:
    known = f"; it looks like {encoding}" if encoding else "; the bytes are cut or damaged"
    source = encoding or "THE_RIGHT_ENCODING"
    return Issue(
        code="bad-utf8",
        file="",
        message=f"the text is not UTF-8{known}",
        fix=f"convert it: iconv -f {source} -t UTF-8 FILE > FILE.utf8",
    )


def _huge(path: Path, number: int) -> Issue:
    return Issue(
        code="huge-line",
        file=str(path),
        line=number,
        message=f"the line is longer than {LINE_LIMIT // 2**20} MB",
        fix="write one row on each line; cut rows this long into several",
    )


def _skip_line(file: IO[bytes], raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(LINE_LIMIT)
