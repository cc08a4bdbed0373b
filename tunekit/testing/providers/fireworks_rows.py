"""Whether Fireworks can train on the rows of a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, cast

from tunekit.testing.providers.fireworks_errors import Refusal

FEWEST, MOST = 3, 3_000_000
"""Examples in a dataset."""

RowKind = Literal["chat", "preference"]

_ROLES = ("system", "user", "assistant", "tool")
_FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("tool", "assistant"),
}
_ANSWERS = ("preferred_output", "non_preferred_output")


class _Wrong(Exception):
    """What is wrong with a row."""


def read(contents: Sequence[bytes]) -> tuple[RowKind, int]:
    """Give the kind of the rows, and how many there are.

    Raises:
        Refusal: INVALID_ARGUMENT with the reason DATASET_INVALID, naming the line.
    """
    kinds: set[RowKind] = set()
    weighted: set[bool] = set()
    count = 0
    for content in contents:
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip():
                continue
            row = _parsed(line, number)
            kinds.add(_kind(row, number))
            weighted.add("weight" in row)
            count += 1
    _check_all(kinds, weighted, count)
    return kinds.pop(), count


def _parsed(line: bytes, number: int) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise _refusal(f"line {number}: invalid JSON: {error}") from None
    if not isinstance(row, dict):
        raise _refusal(f"line {number}: not an object")
    return cast("dict[str, Any]", row)


def _kind(row: Mapping[str, Any], number: int) -> RowKind:
    try:
        if "input" in row:
            _check_preference(row)
            return "preference"
        _check_chat(row)
        return "chat"
    except _Wrong as wrong:
        raise _refusal(f"line {number}: {wrong}") from None


def _check_all(kinds: set[RowKind], weighted: set[bool], count: int) -> None:
    if not FEWEST <= count <= MOST:
        raise _refusal(f"{count} examples; there must be {FEWEST} to {MOST}")
    if len(kinds) > 1:
        raise _refusal("chat rows and preference rows in one dataset")
    if len(weighted) > 1:
        raise _refusal("weight must be on all rows or on none")


def _refusal(message: str) -> Refusal:
    return Refusal("INVALID_ARGUMENT", message, reason="DATASET_INVALID")


def _require(held: bool, message: str) -> None:
    if not held:
        raise _Wrong(message)


def _check_chat(row: Mapping[str, Any]) -> None:
    messages = _messages(row.get("messages"), "messages")
    _check_turns(messages)
    _require(messages[-1]["role"] == "assistant", "the last message is not the assistant's")
    weight = row.get("weight", 1.0)
    number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    _require(number and math.isfinite(weight), "weight is not a number")


def _check_preference(row: Mapping[str, Any]) -> None:
    asked = row["input"]
    _require(isinstance(asked, dict), "input is not an object")
    messages = _messages(asked.get("messages"), "input.messages")
    turns = [message["role"] for message in messages if message["role"] != "system"]
    _require(turns == ["user"], "input.messages must be a single turn of the user")
    for name in _ANSWERS:
        answer = _messages(row.get(name), name)
        alone = [message["role"] for message in answer] == ["assistant"]
        _require(alone, f"{name} must be one message of the assistant")


def _messages(value: Any, at: str) -> list[dict[str, Any]]:
    _require(isinstance(value, list) and value != [], f"{at} is not a list of messages")
    messages = cast("list[Any]", value)
    for number, message in enumerate(messages):
        _require(isinstance(message, dict), f"{at}[{number}] is not an object")
        _check_message(message, f"{at}[{number}]")
    return messages


def _check_message(message: Mapping[str, Any], at: str) -> None:
    role = message.get("role")
    _require(role in _ROLES, f"{at}.role is {role!r}, not one of {', '.join(_ROLES)}")
    content = message.get("content")
    if content is None:
        _require(bool(message.get("tool_calls")), f"{at} has neither content nor tool_calls")
    else:
        _require(isinstance(content, (str, list)), f"{at}.content is neither text nor parts")
        _require(bool(content) or bool(message.get("tool_calls")), f"{at}.content is empty")
    _require(message.get("weight", 1) in (0, 1), f"{at}.weight is not 0 or 1")
    calls: Any = message.get("tool_calls") or []
    _require(isinstance(calls, list), f"{at}.tool_calls is not a list")
    for call in calls:
        _check_call(call, f"{at}.tool_calls")


def _check_call(call: Any, at: str) -> None:
    _require(isinstance(call, dict), f"{at}: there is no function")
    called: Any = call.get("function")
    _require(isinstance(called, dict), f"{at}: there is no function")
    _require(isinstance(called.get("arguments"), str), f"{at}: arguments are not a JSON string")


def _check_turns(messages: Sequence[Mapping[str, Any]]) -> None:
    """A system message only first; user and assistant in turns, tools after the assistant."""
    roles = [message["role"] for message in messages]
    if roles[0] == "system":
        roles = roles[1:]
    _require("system" not in roles, "a system message is not the first")
    _require(bool(roles) and roles[0] == "user", "the first turn is not the user's")
    for before, role in pairwise(roles):
        _require(role in _FOLLOWS[before], f"{role} follows {before}")
