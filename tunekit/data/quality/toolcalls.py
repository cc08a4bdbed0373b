"""Calls of functions against what is on offer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.json_text import as_object
from tunekit.data.rows import Conversation, Message, Preference, Row


class ToolCalls:
    """Checks name and arguments of each call, where a row says what is on offer."""

    def add(self, row: Row) -> Iterator[Issue]:
        """Name the first wrong call of a row."""
        if not isinstance(row, (Conversation, Preference)) or not row.tools:
            return
        offered = dict(_offered(row.tools))
        found = (_fault(call, offered) for turn in _turns(row) for call in turn.tool_calls or ())
        code, message = next(filter(None, found), ("", ""))
        if code:
            yield Issue(
                code=code,
                severity="warning",
                file=row.where.file,
                line=row.where.line,
                message=message,
                fix="mend the call, or the function in tools",
            )

    def close(self) -> Iterator[Issue]:
        """Add nothing."""
        yield from ()


def _turns(row: Conversation | Preference) -> tuple[Message, ...]:
    parts = (
        (row.messages,) if isinstance(row, Conversation) else (row.prompt, row.chosen, row.rejected)
    )
    return tuple(turn for part in parts if not isinstance(part, str) for turn in part)


def _offered(tools: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for tool in tools:
        function = as_object(tool.get("function")) or {}
        yield str(function.get("name")), as_object(function.get("parameters")) or {}


def _fault(
    call: dict[str, Any], offered: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str] | None:
    name = call["function"]["name"]
    if name not in offered:
        return "unknown-tool", f"{name!r} is called; on offer are {', '.join(offered)}"
    complaint = _misfit(json.loads(call["function"]["arguments"]), offered[name])
    if complaint:
        return "bad-tool-call-arguments", f"the arguments of {name!r} do not fit: {complaint}"
    return None


def _misfit(arguments: Any, schema: Mapping[str, Any]) -> str:
    import jsonschema

    vendor: Any = jsonschema
    try:
        vendor.validate(arguments, dict(schema))
    except vendor.ValidationError as error:
        return str(error.message)[:200]
    except Exception:
        # Schemas in the wild are often not valid themselves; that is no fault of the call.
        return ""
    return ""
