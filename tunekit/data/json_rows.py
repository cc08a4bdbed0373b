"""Rows out of JSONL files and out of files that hold one JSON list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunekit.data import json_text
from tunekit.data.compressed import open_bytes
from tunekit.data.issues import Fault, Issue
from tunekit.data.lines import decode, lines, placed, whole_file
from tunekit.data.rows import Where

LIST_LIMIT = 1024**3
"""Bytes of a file that holds one JSON list: it is read as a whole."""

Raw = dict[str, Any]


def read(path: Path, issues: list[Issue]) -> Iterator[tuple[Raw, Where]]:
    """Give the rows of a JSON or JSONL file with their lines; what is wrong goes to `issues`."""
    with open_bytes(path) as file:
        head = file.read(4096)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return _read_list(path, issues) if start == b"[" else _read_lines(path, issues)


def _read_lines(path: Path, issues: list[Issue]) -> Iterator[tuple[Raw, Where]]:
    first = True
    for number, text in lines(path, issues):
        start = json_text.skip_blank(text, 0)
        if start == len(text):
            continue
        row = _row(text, start, path, number)
        if isinstance(row, dict):
            yield row, Where(file=str(path), line=number)
        elif first and row.code == "truncated-json" and (spread := _spread(path)):
            issues.append(spread)
            return
        else:
            issues.append(row)
        first = False


def _row(text: str, start: int, path: Path, number: int) -> Raw | Issue:
    try:
        json_text.check_depth(text)
        row, end = json_text.value(text, start)
        end = json_text.skip_blank(text, end)
        if end < len(text):
            raise _two_rows(text, end)
        return _checked(row)
    except Fault as fault:
        column = 0 if fault.position is None else fault.position + 1
        return fault.at(str(path), number, column=column)


def _checked(row: Any) -> Raw:
    if (given := json_text.as_object(row)) is not None:
        return dict(given)
    raise Fault(
        "not-an-object",
        f"a row is {_kind(row)}, not an object with keys",
        'write it with a key: {"text": "..."}',
    )


def _two_rows(text: str, at: int) -> Fault:
    if "\r" in text[len(text[:at].rstrip()) : at]:
        cure = "the lines end in CR alone; convert them: tr '\\r' '\\n' < OLD > NEW"
    elif text[at] in "{[":
        cure = "write every row on a line of its own"
    elif text[at] == ",":
        cure = "remove the comma between the rows, or put all of them in one [...] list"
    else:
        cure = "remove what follows the closing bracket"
    return Fault("bad-json", "the line goes on after the end of the row", cure, position=at)


def _kind(value: Any) -> str:
    names: dict[Any, str] = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _spread(path: Path) -> Issue | None:
    """Say whether the file holds objects written over many lines."""
    text = _whole_text(path)
    if isinstance(text, Issue):
        return None
    try:
        json_text.check_depth(text)
        row, end = json_text.value(text, json_text.skip_blank(text, 0))
    except Fault:
        return None
    given = json_text.as_object(row) or {}
    lists = [key for key, held in given.items() if _is_rows(held)]
    if json_text.skip_blank(text, end) == len(text) and lists and "messages" not in lists:
        return Issue(
            code="one-object",
            file=str(path),
            line=1,
            message=f"the file is one object; its rows seem to lie under {lists[0]!r}",
            fix=f"take them out: jq -c '.{lists[0]}[]' {path} > rows.jsonl",
        )
    return Issue(
        code="pretty-printed",
        file=str(path),
        line=1,
        message="a row is spread over several lines",
        fix=f"write one row on each line: jq -c . {path} > rows.jsonl",
    )


def _is_rows(held: Any) -> bool:
    items = json_text.as_list(held)
    return bool(items) and all(isinstance(item, dict) for item in items or ())


def _whole_text(path: Path) -> str | Issue:
    with open_bytes(path) as file:
        raw = file.read(LIST_LIMIT + 1)
    if len(raw) > LIST_LIMIT:
        return Issue(
            code="too-large",
            file=str(path),
            message=f"a JSON list is read as a whole, up to {LIST_LIMIT // 2**20} MB",
            fix=f"write one row on each line: jq -c '.[]' {path} > rows.jsonl",
        )
    issue = whole_file(path, raw[:4096])
    text = issue or decode(raw.removeprefix(b"\xef\xbb\xbf"))
    return text if isinstance(text, str) else placed(text, path)


def _read_list(path: Path, issues: list[Issue]) -> Iterator[tuple[Raw, Where]]:
    text = _whole_text(path)
    if isinstance(text, Issue):
        issues.append(text)
        return
    seen, line = 0, 1
    try:
        json_text.check_depth(text, limit=json_text.DEPTH_LIMIT + 1)
        for row, at in _items(text):
            line += text.count("\n", seen, at)
            seen = at
            try:
                yield _checked(row), Where(file=str(path), line=line)
            except Fault as fault:
                issues.append(fault.at(str(path), line, column=at - text.rfind("\n", 0, at)))
    except Fault as fault:
        issues.append(_placed(fault, text, path, line))


def _placed(fault: Fault, text: str, path: Path, line: int) -> Issue:
    """Give the issue its line and column; a fault without an offset lies in the last row read."""
    if fault.position is None:
        return fault.at(str(path), line)
    at = min(fault.position, len(text.rstrip()))
    column = at - text.rfind("\n", 0, at)
    return fault.at(str(path), text.count("\n", 0, at) + 1, column=column)


def _items(text: str) -> Iterator[tuple[Any, int]]:
    """Give each item of the list with its offset."""
    at = json_text.skip_blank(text, text.index("[") + 1)
    while text[at : at + 1] != "]":
        try:
            item, end = json_text.value(text, at)
        except Fault as fault:
            fault.position = at if fault.position is None else fault.position
            raise
        yield item, at
        at = json_text.skip_blank(text, end)
        if text[at : at + 1] == ",":
            at = json_text.skip_blank(text, at + 1)
            if text[at : at + 1] == "]":
                raise _trailing_comma(at)
        elif text[at : at + 1] != "]":
            raise _unfinished(text, at)
    _nothing_after(text, at + 1)


def _trailing_comma(at: int) -> Fault:
    cure = "remove the comma before the closing bracket"
    return Fault("bad-json", "a comma stands before the end of the list", cure, position=at)


def _unfinished(text: str, at: int) -> Fault:
    if at >= len(text):
        return Fault(
            "truncated-json",
            "the list has no end",
            "the file was cut off; write it again, or close the list with ]",
            position=at,
        )
    return Fault(
        "bad-json",
        "the rows of the list are not separated by a comma",
        "put a comma between the rows, or write one row on each line without [ ]",
        position=at,
    )


def _nothing_after(text: str, at: int) -> None:
    at = json_text.skip_blank(text, at)
    if at < len(text):
        raise Fault(
            "bad-json",
            "the file goes on after the end of the list",
            "keep one list in the file, or write one row on each line without [ ]",
            position=at,
        )
