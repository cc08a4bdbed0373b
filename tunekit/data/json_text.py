"""One JSON value out of text, strictly: what two readers could read apart is a fault."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from tunekit.data.issues import Fault

DEPTH_LIMIT = 64
DIGIT_LIMIT = 400
"""Digits of a number; a 64-bit float ends at 309."""

_MARKS = re.compile(r"""\\.|["\[\]{}]""", re.DOTALL)
_BLANK = re.compile(r"[ \t\r\n]*")


def value(text: str, at: int = 0) -> tuple[Any, int]:
    """Read the value that starts at `at`; gives it and the offset behind it.

    The depth must have been checked before: see `check_depth`.

    Raises:
        Fault: `bad-json`, `truncated-json`, `duplicate-key`, `nan-or-infinity` or `huge-number`.
    """
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _explain(text, error) from None


def as_object(value: Any) -> Mapping[str, Any] | None:
    """Give a value as an object, if it is one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def as_list(value: Any) -> list[Any] | None:
    """Give a value as a list, if it is one."""
    return list(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else None


def skip_blank(text: str, at: int) -> int:
    """Give the offset of the first character from `at` that is not blank."""
    match = _BLANK.match(text, at)
    return match.end() if match else at


def check_depth(text: str, *, limit: int = DEPTH_LIMIT) -> None:
    """Count brackets outside of strings, so that parsing cannot exhaust the stack.

    Raises:
        Fault: `too-deep`.
    """
    if text.count("[") + text.count("{") <= limit:
        return
    depth, quoted = 0, False
    for match in _MARKS.finditer(text):
        mark = match.group()
        if mark == '"':
            quoted = not quoted
        elif not quoted and mark in "[{":
            depth += 1
            if depth > limit:
                raise Fault(
                    "too-deep",
                    f"values are nested more than {limit} deep",
                    "flatten the row, or store the nested part as text",
                    position=match.start(),
                )
        elif not quoted and mark in "]}":
            depth = max(0, depth - 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Fault(
            "duplicate-key",
            f"the key {twice!r} stands twice in one object",
            "keep one of them; readers disagree on which counts",
        )
    return found


def _constant(name: str) -> Any:
    raise Fault(
        "nan-or-infinity",
        f"{name} is not JSON",
        "write null, or leave the key out; json.dumps(row, allow_nan=False) finds it when writing",
    )


def _whole(digits: str) -> int:
    if len(digits) > DIGIT_LIMIT:
        raise _huge(digits)
    return int(digits)


def _decimal(digits: str) -> float:
    if len(digits) > DIGIT_LIMIT:
        raise _huge(digits)
    number = float(digits)
    if math.isinf(number):
        _constant(f"{digits}, which is beyond what a float holds,")
    return number


def _huge(digits: str) -> Fault:
    return Fault(
        "huge-number",
        f"a number has {len(digits)} digits",
        f'write it as text, in quotes: "{digits[:6]}..."',
    )


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_decimal, parse_int=_whole
)


def _explain(text: str, error: json.JSONDecodeError) -> Fault:
    """Name the likely cause of a syntax error."""
    at, complaint = error.pos, f"{error.msg[0].lower()}{error.msg[1:]}"
    if not text[at:].strip() or error.msg.startswith("Unterminated string"):
        return Fault(
            "truncated-json",
            f"the row ends in the middle ({complaint})",
            "complete the row, or delete it; one row must stand on one line",
            position=at,
        )
    return Fault("bad-json", f"not JSON: {complaint}", _cure(text, error), position=at)


def _cure(text: str, error: json.JSONDecodeError) -> str:
    before, after = text[: error.pos].rstrip()[-1:], text[error.pos : error.pos + 8]
    message = error.msg.lower()
    if "trailing comma" in message or (before == "," and after.startswith(("}", "]"))):
        return "remove the comma before the closing bracket"
    if "control character" in message:
        return "write line breaks inside text as \\n and tabs as \\t; json.dumps(row) does"
    if "escape" in message:
        return "write a backslash as \\\\; json.dumps(row) does"
    return next(
        (cure for start, cure in _CURES.items() if after.startswith(start)),
        "write every row with json.dumps(row, ensure_ascii=False)",
    )


_CURES = {
    "'": "use double quotes: json.dumps(row) writes {\"a\": 1} where Python prints {'a': 1}",
    "None": "write null; json.dumps(row) does",
    "True": "write true; json.dumps(row) does",
    "False": "write false; json.dumps(row) does",
    "/": "remove the comment; JSON has none",
    "#": "remove the comment; JSON has none",
}
