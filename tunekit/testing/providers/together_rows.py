"""Together's own look at the rows of a file: one format per file, named by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from tunekit.testing.providers.checks import is_list

_ROLES = ("system", "user", "assistant", "tool")
_TOP = {"tools", "weight"}

Row = dict[str, Any]


class BadRow(Exception):
    """What is wrong with a row."""


def report(content: bytes, kind: str) -> dict[str, Any]:
    """Give the validation report of a file's bytes."""
    if kind == "parquet":
        sound = content[:4] == content[-4:] == b"PAR1"
        return {"valid": True} if sound else _invalid("the file is not Parquet")
    try:
        rows = _rows(content)
        formats = {name: line for line, row in reversed(rows) for name in [_format(row, line)]}
    except BadRow as error:
        return _invalid(str(error))
    if len(formats) > 1:
        told = ", ".join(f"line {line} is {name}" for name, line in formats.items())
        return _invalid(f"All rows of a file must have one format: {told}")
    return {
        "valid": True,
        "dataset_format": next(iter(formats)),
        "nlines": len(rows),
        **_flags([row for _, row in rows]),
    }


def _invalid(error: str) -> dict[str, Any]:
    return {"valid": False, "error_type": "INVALID_FORMAT", "error": error}


def _rows(content: bytes) -> list[tuple[int, Row]]:
    try:
        lines = content.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise BadRow(f"The file is not UTF-8 at byte {error.start}") from error
    if lines == [""]:
        raise BadRow("The file has no rows")
    return [(number, _row(line, number)) for number, line in enumerate(lines, 1)]


def _row(line: str, number: int) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise BadRow(f"Line {number}: is not JSON") from error
    if not isinstance(row, dict):
        raise BadRow(f"Line {number}: must be a JSON object")
    return cast("Row", row)


def _format(row: Row, line: int) -> str:
    matching = [name for name, (keys, _) in _FORMATS.items() if keys <= row.keys()]
    if len(matching) != 1:
        told = " and ".join(matching) or "no known format"
        raise BadRow(f"Line {line}: matches {told}")
    keys, holds = _FORMATS[matching[0]]
    extra = row.keys() - keys - _TOP
    try:
        _require(not extra, f"unexpected keys {', '.join(sorted(extra))}")
        weight = row.get("weight", 1.0)
        sound = isinstance(weight, (int, float)) and not isinstance(weight, bool) and weight >= 0
        _require(sound, "`weight` must be a number >= 0")
        holds(row)
    except BadRow as error:
        raise BadRow(f"Line {line}: {error}") from error
    return matching[0]


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise BadRow(otherwise)


def _conversation(row: Row) -> None:
    _messages(row["messages"], "messages")
    roles = [message["role"] for message in row["messages"]]
    _require("assistant" in roles, "`messages` must hold a message of the assistant")
    _tools(row, "tools")


def _instruction(row: Row) -> None:
    for name in ("prompt", "completion"):
        _require(isinstance(row[name], (str, list)), f"`{name}` must be a string")


def _general(row: Row) -> None:
    _require(isinstance(row["text"], str), "`text` must be a string")


def _preference(row: Row) -> None:
    wanted = row["input"]
    _require(isinstance(wanted, dict), "`input` must be an object")
    _require(wanted.keys() <= {"messages", "tools"}, "`input` holds `messages` and `tools` only")
    _messages(wanted.get("messages"), "input.messages")
    _tools(wanted, "input.tools")
    _require("tools" not in row, "`tools` of a preference row belong into `input`")
    for name in ("preferred_output", "non_preferred_output"):
        _messages(row[name], name)
        one = len(row[name]) == 1 and row[name][0]["role"] == "assistant"
        _require(one, f"`{name}` must hold exactly one message, of the assistant")


def _messages(messages: Any, name: str) -> None:
    listed = messages if is_list(messages) else []
    _require(listed, f"`{name}` must be a list of messages")
    for index, message in enumerate(listed):
        _message(message, f"{name}[{index}]")


def _message(message: object, name: str) -> None:
    _require(isinstance(message, dict), f"`{name}` must be an object")
    found = cast("Row", message)
    _require("role" in found, f"`{name}` must contain a `role` field")
    _require(found["role"] in _ROLES, f"`{name}.role` must be one of {', '.join(_ROLES)}")
    content = found.get("content")
    calls: list[Row] = found.get("tool_calls") or []
    spoken = isinstance(content, (str, list)) or (content is None and bool(calls))
    _require(spoken, f"`{name}.content` must be a string")
    weight = found.get("weight", 1)
    _require(weight in (0, 1), f"`{name}.weight` must be 0 or 1")
    for call in calls:
        sound = isinstance(call.get("function", {}).get("arguments"), str)
        _require(sound, f"`{name}.tool_calls` must hold `arguments` as a JSON string")


def _tools(row: Row, name: str) -> None:
    _require(isinstance(row.get("tools", []), list), f"`{name}` must be a list")


_FORMATS: Mapping[str, tuple[set[str], Callable[[Row], None]]] = {
    "conversation": ({"messages"}, _conversation),
    "instruction": ({"prompt", "completion"}, _instruction),
    "general": ({"text"}, _general),
    "preference_openai": ({"input", "preferred_output", "non_preferred_output"}, _preference),
}


def _flags(rows: list[Row]) -> dict[str, bool]:
    messages: list[Row] = [message for row in rows for message in row.get("messages", [])]
    calls: list[list[Any]] = [message.get("tool_calls") or [] for message in messages]
    reasons = ("reasoning", "reasoning_content")
    return {
        "dataset_has_message_weights": any("weight" in message for message in messages),
        "dataset_has_sample_weights": any("weight" in row for row in rows),
        "dataset_has_tools": any("tools" in row or "tools" in row.get("input", {}) for row in rows),
        "dataset_has_parallel_tool_calls": any(len(each) > 1 for each in calls),
        "dataset_has_reasoning": any(message.get(key) for message in messages for key in reasons),
        "dataset_is_multimodal": any(isinstance(each.get("content"), list) for each in messages),
    }
