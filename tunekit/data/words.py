"""What the two sides of a row say, as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from tunekit.data.rows import Completion, Conversation, Judged, Message, Preference, Row, Text

Part = str | tuple[Message, ...]


def asked(row: Row) -> str:
    """Give what the model is asked: the prompt, or the turns up to the last answer."""
    if isinstance(row, Text):
        return ""
    if isinstance(row, Conversation):
        return plain(_halves(row.messages)[0])
    return plain(row.prompt)


def answered(row: Row) -> str:
    """Give what the model is to say; of a pair, the chosen answer."""
    if isinstance(row, Text):
        return row.text
    if isinstance(row, Conversation):
        return plain(_halves(row.messages)[1])
    if isinstance(row, Preference):
        return plain(row.chosen)
    if isinstance(row, (Completion, Judged)):
        return plain(row.completion)
    return ""


def own(row: Row) -> str:
    """Give prompt and answer without system turns, which many rows share word for word."""
    parts = (row.messages,) if isinstance(row, Conversation) else (_prompt(row), answered(row))
    spoken = (part if isinstance(part, str) else plain(_unled(part)) for part in parts)
    return "\n".join(spoken)


def _prompt(row: Row) -> Part:
    return "" if isinstance(row, (Text, Conversation)) else row.prompt


def _unled(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(turn for turn in turns if turn.role != "system")


def texts(row: Row) -> Iterator[str]:
    """Give every text of a row, turn by turn, calls of tools included."""
    parts: tuple[Part, ...]
    if isinstance(row, Text):
        parts = (row.text,)
    elif isinstance(row, Conversation):
        parts = (row.messages,)
    elif isinstance(row, Preference):
        parts = (row.prompt, row.chosen, row.rejected)
    elif isinstance(row, (Completion, Judged)):
        parts = (row.prompt, row.completion)
    else:
        parts = (row.prompt,)
    for part in parts:
        yield from (part,) if isinstance(part, str) else [said(turn) for turn in part]


def plain(part: Part) -> str:
    """Give a text as it is, and turns one below the other."""
    return part if isinstance(part, str) else "\n".join(map(said, part))


def said(turn: Message) -> str:
    """Give the words of a turn: its reasoning, its content, the arguments of its calls."""
    content = turn.content if isinstance(turn.content, str) else ""
    if turn.reasoning is None and turn.tool_calls is None:
        return content
    calls = (call["function"] for call in turn.tool_calls or ())
    called = (f"{call['name']} {call['arguments']}" for call in calls)
    return "\n".join(text for text in (turn.reasoning or "", content, *called) if text)


def _halves(turns: tuple[Message, ...]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Part a chat before its last answer."""
    last = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=len(turns))
    return turns[:last], turns[last : last + 1]
