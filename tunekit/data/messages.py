"""Turns of a chat, in any of the spellings in use, as messages."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from tunekit.data import json_text
from tunekit.data.issues import Fault
from tunekit.data.json_text import as_list, as_object
from tunekit.data.rows import Message

Role = Literal["system", "user", "assistant", "tool"]

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""Words of OpenAI, ShareGPT, LLaMA-Factory and Gemini for who speaks."""

_OWN: tuple[str, ...] = get_args(Role)

KEYS = frozenset(
    {
        "role",
        "from",
        "content",
        "value",
        "reasoning",
        "reasoning_content",
        "thinking",
        "tool_calls",
        "function_call",
        "tool_call_id",
        "name",
        "weight",
    }
)
"""Keys of a turn that are understood."""


def turns(value: Any, *, key: str) -> tuple[Message, ...]:
    """Read a list of turns, or a single turn; `key` is where it stands, for messages.

    Raises:
        Fault: it is not a list of turns.
    """
    items = as_list(value) if as_object(value) is None else [value]
    if items is None:
        raise wrong_type(key, value, "a list of turns")
    if not items:
        raise Fault("no-messages", f"{key} is empty", "add the turns, or delete the row")
    return tuple(_turn(turn, f"{key}[{index}]") for index, turn in enumerate(items))


def is_plain(value: Any) -> bool:
    """Say whether turns are of a role and a text alone, in the words that `Message` has."""
    return value.__class__ is list and bool(value) and all(map(_is_plain_turn, value))


def _is_plain_turn(turn: Any) -> bool:
    return (
        turn.__class__ is dict
        and len(turn) == 2
        and turn.get("content").__class__ is str
        and turn.get("role") in _OWN
    )


def _turn(turn: Any, place: str) -> Message:
    fields = as_object(turn)
    if fields is None:
        raise wrong_type(place, turn, 'an object such as {"role": "user", "content": "..."}')
    given = {name: held for name, held in fields.items() if held is not None}
    word = _either(given, "role", "from", place)
    role = _role(word, place)
    content = _text(_either(given, "content", "value", place), f"{place}.content")
    calls = _calls(given, place) if role == "assistant" else None
    if word == "function_call" and content is not None:
        calls, content = [_call(content, f"{place}.content")], None
    if content is None and not calls:
        raise Fault(
            "null-content",
            f"{place}.content is null or missing",
            "write the text of the turn, or delete the row",
        )
    return Message(
        role=role,
        content=content,
        reasoning=_reasoning(given, place),
        tool_calls=calls,
        tool_call_id=string(given, "tool_call_id", place),
        name=string(given, "name", place),
        weight=_weight(given.get("weight"), place),
    )


def _reasoning(given: Mapping[str, Any], place: str) -> str | None:
    """Read what was thought; gpt-oss writes `thinking`, vLLM and DeepSeek `reasoning_content`."""
    thought = {**given, "reasoning": _either(given, "reasoning", "reasoning_content", place)}
    if thought["reasoning"] is None:
        del thought["reasoning"]
    return _text(_either(thought, "reasoning", "thinking", place), place)


def _either(given: Mapping[str, Any], first: str, second: str, place: str) -> Any:
    """Take the value under whichever of two spellings is there."""
    if first in given and second in given and given[first] != given[second]:
        raise Fault(
            "two-spellings",
            f"{place} has {first!r} and {second!r}, and they differ",
            f"keep {first!r}",
        )
    return given.get(first, given.get(second))


def _role(word: Any, place: str) -> Role:
    if word is None:
        raise Fault("unknown-role", f"{place} says no role", f'add "role": one of {_ROLE_LIST}')
    if isinstance(word, str) and word in ROLES:
        return ROLES[word]
    close = difflib.get_close_matches(str(word).lower(), ROLES, n=1)
    fix = f"did you mean {close[0]!r}?" if close else f"write one of {_ROLE_LIST}"
    raise Fault("unknown-role", f"{place}.role is {short(word)}", fix)


_ROLE_LIST = "system, user, assistant, tool"


def _text(content: Any, place: str) -> str | None:
    """Read text, or a list of text parts, which mean their concatenation."""
    if content is None or isinstance(content, str):
        return content
    parts = as_list(content)
    if parts is None:
        raise wrong_type(place, content, "text")
    pieces = [_part(part, f"{place}[{index}]") for index, part in enumerate(parts)]
    return "".join(pieces) if pieces else None


def _part(part: Any, place: str) -> str:
    fields = as_object(part)
    if fields is None:
        raise wrong_type(place, part, 'a part such as {"type": "text", "text": "..."}')
    if fields.get("type") == "text" and isinstance(fields.get("text"), str):
        return str(fields["text"])
    raise Fault(
        "not-text",
        f"{place} is a part of type {short(fields.get('type'))}",
        "only text can be trained on; leave out rows with images or sound",
    )


def _weight(weight: Any, place: str) -> float | None:
    if weight is None:
        return None
    if isinstance(weight, (int, float)) and weight in (0, 1):
        return float(weight)
    raise Fault(
        "bad-weight",
        f"{place}.weight is {short(weight)}",
        "write 1 to train on the turn, 0 to keep it as context",
    )


def _calls(given: Mapping[str, Any], place: str) -> list[dict[str, Any]] | None:
    calls = given.get("tool_calls")
    if calls is None and "function_call" in given:
        return [_call(given["function_call"], f"{place}.function_call")]
    if calls is None:
        return None
    place = f"{place}.tool_calls"
    if isinstance(calls, str):
        calls = parsed(calls, place)
    items = as_list(calls)
    if items is None:
        raise wrong_type(place, calls, "a list of calls")
    return [_call(call, f"{place}[{index}]") for index, call in enumerate(items)] or None


def _call(call: Any, place: str) -> dict[str, Any]:
    """Read a call in OpenAI's shape, or only its name and arguments."""
    given = as_object(parsed(call, place) if isinstance(call, str) else call) or {}
    function = as_object(given.get("function", given)) or {}
    if not isinstance(function.get("name"), str):
        raise Fault(
            "bad-tool-call",
            f"{place} names no function",
            'write {"type": "function", "function": {"name": "...", "arguments": "{...}"}}',
        )
    arguments = _arguments(function.get("arguments", {}), f"{place}.function.arguments")
    shaped: dict[str, Any] = {
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }
    return {"id": given["id"], **shaped} if isinstance(given.get("id"), str) else shaped


def _arguments(arguments: Any, place: str) -> str:
    """Give the arguments as JSON text, the way OpenAI's wire has them."""
    try:
        if isinstance(arguments, str):
            held, text = parsed(arguments, place), arguments
        else:
            held, text = arguments, json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    except (Fault, TypeError, ValueError, RecursionError) as error:
        raise _bad_arguments(place, str(error)) from None
    if not isinstance(held, Mapping):
        raise _bad_arguments(place, f"they are {short(held)}")
    return text


def _bad_arguments(place: str, why: str) -> Fault:
    return Fault(
        "bad-tool-arguments",
        f"{place} is not a JSON object: {why}",
        'write them as JSON text, "{\\"city\\": \\"Bonn\\"}", or as an object',
    )


def tools(value: Any) -> list[dict[str, Any]] | None:
    """Read the functions on offer: a list, or JSON text of one.

    Raises:
        Fault: `bad-tools`.
    """
    if value is None or value == "":
        return None
    items = as_list(parsed(value, "tools") if isinstance(value, str) else value)
    offered = [tool for item in items or () if (tool := as_object(item)) is not None]
    if items is None or len(offered) != len(items):
        raise Fault(
            "bad-tools",
            f"tools is {short(value)}, not a list of functions",
            'write [{"type": "function", "function": {"name": "...", "parameters": {...}}}]',
        )
    return [_tool(tool) for tool in offered] or None


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    return dict(tool) if "function" in tool else {"type": "function", "function": dict(tool)}


def row_weight(row: Mapping[str, Any]) -> float | None:
    """Read how much a whole row counts.

    Raises:
        Fault: `bad-weight`.
    """
    weight = row.get("weight")
    if weight is None:
        return None
    try:
        # A CSV cell can only hold text.
        read = math.nan if isinstance(weight, bool) else float(weight)
    except (TypeError, ValueError):
        read = math.nan
    if math.isfinite(read):
        return read
    raise Fault(
        "bad-weight",
        f"weight is {short(weight)}, not a number",
        "write how much the row counts, such as 0.5; rename the column if it means something else",
    )


def parallel(row: Mapping[str, Any]) -> bool | None:
    """Read whether one turn may call several tools.

    Raises:
        Fault: `wrong-type`.
    """
    value = row.get("parallel_tool_calls")
    if value is None or isinstance(value, bool):
        return value
    raise wrong_type("parallel_tool_calls", value, "true or false")


def parsed(text: str, place: str) -> Any:
    """Read JSON that stands as text inside a row.

    Raises:
        Fault: it is not JSON.
    """
    try:
        start = json_text.skip_blank(text, 0)
        json_text.check_depth(text)
        value, end = json_text.value(text, start)
        if json_text.skip_blank(text, end) < len(text):
            raise Fault("bad-json", "it goes on after its end", "remove the rest")
    except Fault as fault:
        raise Fault(fault.code, f"{place}: {fault.message}", fault.fix) from None
    return value


def string(given: Mapping[str, Any], key: str, place: str = "") -> str | None:
    """Take a value that must be text where it is given.

    Raises:
        Fault: `wrong-type`.
    """
    value = given.get(key)
    if value is None or isinstance(value, str):
        return value
    raise wrong_type(f"{place}.{key}" if place else key, value, "text")


def wrong_type(place: str, value: Any, wanted: str) -> Fault:
    """Say that a value has another type than it needs."""
    return Fault("wrong-type", f"{place} is {short(value)}, not {wanted}", f"write {wanted}")


def short(value: Any) -> str:
    """Show a value in one line."""
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
