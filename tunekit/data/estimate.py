"""How many tokens rows have, roughly, before a tokenizer is at hand."""

from __future__ import annotations

import json
import math

from tunekit.data.meaning import answers
from tunekit.data.rows import Completion, Conversation, Judged, Message, Preference, Prompt, Row

BYTES_PER_TOKEN = 4
TURN_TOKENS = 4
"""What a chat template writes around a turn."""


def tokens(row: Row) -> int:
    """Estimate all tokens of a row; of a pair, those of both sequences."""
    if isinstance(row, Preference):
        return 2 * _part(row.prompt) + _part(row.chosen) + _part(row.rejected)
    return longest(row)


def longest(row: Row) -> int:
    """Estimate the longest sequence that the row makes."""
    if isinstance(row, Preference):
        return _part(row.prompt) + max(_part(row.chosen), _part(row.rejected))
    prompt = _part(row.prompt) if isinstance(row, (Completion, Judged, Prompt)) else 0
    offered = row.tools if isinstance(row, Conversation) else None
    return prompt + _json(offered) + sum(_part(answer) for _, answer in answers(row))


def trained(row: Row, train_on: str) -> int:
    """Estimate the tokens that count for the loss."""
    if train_on == "all":
        return tokens(row)
    if not isinstance(row, Conversation):
        return sum(_part(answer) for _, answer in answers(row))
    spoken = [turn for turn in row.messages if turn.role == "assistant" and turn.weight != 0]
    return _part(tuple(spoken[-1:] if train_on == "completion" else spoken))


def _part(part: str | tuple[Message, ...]) -> int:
    if isinstance(part, str):
        return _text(part)
    return sum(_turn(turn) for turn in part)


def _turn(turn: Message) -> int:
    content = turn.content if isinstance(turn.content, str) else ""
    return TURN_TOKENS + _text(content) + _text(turn.reasoning or "") + _json(turn.tool_calls)


def _json(value: object) -> int:
    return _text(json.dumps(value, ensure_ascii=False)) if value else 0


def _text(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)
