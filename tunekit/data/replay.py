"""General chats that are mixed into training rows, so that less of what a model can is forgotten.

`texts/replay.jsonl` holds 64 of them, written for tunekit. None of the prompts that forgetting is
measured on is among them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TypeVar

from tunekit.data.rows import Completion, Conversation, Message, Row, Text, Where

Item = TypeVar("Item")

FILE = "general chats of tunekit"


@cache
def chats() -> tuple[tuple[str, str], ...]:
    """Give prompts and answers."""
    held = files("tunekit.data").joinpath("texts/replay.jsonl")
    rows = [json.loads(line) for line in held.read_text(encoding="utf-8").splitlines()]
    return tuple((row["prompt"], row["answer"]) for row in rows)


def count(rows: int, ratio: float) -> int:
    """Give how many rows are mixed into so many."""
    return max(1, round(rows * ratio))


def mixed(rows: Sequence[Row], ratio: float) -> tuple[Row, ...]:
    """Spread general chats, in the shape of the rows, evenly among them."""
    found = [
        _shaped(rows[0], *chats()[number % len(chats())], line=number % len(chats()) + 1)
        for number in range(count(len(rows), ratio))
    ]
    return tuple(spread(rows, found))


def spread(rows: Sequence[Item], others: Sequence[Item]) -> list[Item]:
    """Put others among rows at even distances; the order of both is kept."""
    made: list[Item] = []
    for number, row in enumerate(rows):
        start, end = (len(others) * n // len(rows) for n in (number, number + 1))
        made += [*others[start:end], row]
    return made


def _shaped(like: Row, prompt: str, answer: str, *, line: int) -> Row:
    where = Where(file=FILE, line=line)
    if isinstance(like, Conversation):
        turns = (Message(role="user", content=prompt), Message(role="assistant", content=answer))
        return Conversation(messages=turns, where=where)
    if isinstance(like, Completion):
        return Completion(prompt=f"{prompt}\n", completion=answer, where=where)
    return Text(text=f"{prompt}\n{answer}", where=where)
