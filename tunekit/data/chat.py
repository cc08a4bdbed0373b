"""Rows that are chats: OpenAI's messages, ShareGPT, Alpaca."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.data import messages, pairs, preferences
from tunekit.data.json_text import as_list
from tunekit.data.rows import Conversation, Message, Row, Where

Raw = Mapping[str, Any]


def conversation(row: Raw, where: Where) -> Row:
    """Read `messages`, with `tools`, `parallel_tool_calls` and the row's `weight`."""
    given, tools = row["messages"], messages.tools(row.get("tools"))
    # Nearly all chats are plain, and the model makes messages of them quicker than we could.
    turns = given if messages.is_plain(given) else messages.turns(given, key="messages")
    return Conversation(
        messages=turns,
        tools=tools,
        parallel_tool_calls=messages.parallel(row),
        weight=messages.row_weight(row),
        where=where,
    )


def sharegpt(row: Raw, where: Where) -> Row:
    """Read `conversations` of from/value, with `system`, `tools`, and a pair or a verdict."""
    turns = messages.turns(row["conversations"], key="conversations")
    return _ended(row, preferences.system(row) + turns, where)


def alpaca(row: Raw, where: Where) -> Row:
    """Read `instruction`, `input`, `output`, with `system`, `history`, and a pair or a verdict."""
    if "instruction" not in row:
        raise KeyError("instruction")
    asked = [messages.string(row, key) for key in ("instruction", "input")]
    question = Message(role="user", content="\n".join(text for text in asked if text))
    turns = (*preferences.system(row), *_history(row.get("history")), question)
    answer = messages.string(row, "output")
    if answer is not None and "chosen" not in row:
        turns = (*turns, Message(role="assistant", content=answer))
    return _ended(row, turns, where)


def _ended(row: Raw, turns: tuple[Message, ...], where: Where) -> Row:
    """Make the row kind that the keys beside the turns ask for."""
    tools = messages.tools(row.get("tools"))
    if "chosen" in row and "rejected" in row:
        chosen, rejected = (preferences.answer(row[key], key=key) for key in ("chosen", "rejected"))
        return preferences.chat_preference(turns, chosen, rejected, tools=tools, where=where)
    verdict = next((key for key in pairs.VERDICTS if pairs.is_verdict(row.get(key))), None)
    if verdict is not None:
        return pairs.judged_chat(turns, row[verdict], key=verdict, where=where)
    return Conversation(messages=turns, tools=tools, where=where)


def _history(history: Any) -> tuple[Message, ...]:
    """Read earlier exchanges: a list of [question, answer]."""
    if history is None or history == "":
        return ()
    exchanges = as_list(history)
    if exchanges is None:
        raise messages.wrong_type("history", history, "a list of [question, answer]")
    found: list[Message] = []
    for index, pair in enumerate(exchanges):
        texts = as_list(pair) or []
        if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
            raise messages.wrong_type(f"history[{index}]", pair, 'a pair ["question", "answer"]')
        question, answer = texts
        found += [
            Message(role="user", content=question),
            Message(role="assistant", content=answer),
        ]
    return tuple(found)
