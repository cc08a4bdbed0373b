"""Rows that are a prompt with an answer, or an answer with a verdict; and plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.data import messages
from tunekit.data.issues import Fault
from tunekit.data.json_text import as_list, as_object
from tunekit.data.preferences import answer, question
from tunekit.data.rows import Completion, Conversation, Judged, Message, Prompt, Row, Text, Where

Raw = Mapping[str, Any]
Turns = tuple[Message, ...]

VERDICTS = ("label", "kto_tag")


def text(row: Raw, where: Where) -> Row:
    """Read `text`."""
    if not isinstance(row["text"], str):
        raise messages.wrong_type("text", row["text"], "text")
    return Text(text=row["text"], weight=messages.row_weight(row), where=where)


def completion(row: Raw, where: Where) -> Row:
    """Read `prompt` and `completion`: both text, or turns of a chat.

    Of turns only the completion's are trained on.
    """
    asked, said, weight = row["prompt"], row["completion"], messages.row_weight(row)
    if isinstance(asked, str) and isinstance(said, str):
        return Completion(prompt=asked, completion=said, weight=weight, where=where)
    prompt = tuple(
        turn.model_copy(update={"weight": 0.0}) if turn.role == "assistant" else turn
        for turn in question(asked)
    )
    return Conversation(
        messages=prompt + answer(said, key="completion"),
        tools=messages.tools(row.get("tools")),
        weight=weight,
        where=where,
    )


def segments(row: Raw, where: Where) -> Row:
    """Read `segments` of text and label (Axolotl's input_output): the false ones, then the true.

    Raises:
        Fault: `mixed-segments`, text that is not trained follows text that is.
    """
    items = as_list(row["segments"])
    if items is None:
        raise messages.wrong_type("segments", row["segments"], "a list of texts with labels")
    parts = [_segment(item, f"segments[{index}]") for index, item in enumerate(items)]
    labels = [label for label, _ in parts]
    if labels != sorted(labels):
        raise Fault(
            "mixed-segments",
            "a segment that is not trained on follows one that is",
            "write the row as messages; an assistant's turn with weight 0 is not trained on",
        )
    asked, said = (
        "".join(text for label, text in parts if label is side) for side in (False, True)
    )
    return Completion(prompt=asked, completion=said, where=where)


def prompt(row: Raw, where: Where) -> Row:
    """Read `prompt` alone; every other column is kept for a function that judges answers."""
    asked = row["prompt"]
    fields = {key: held for key, held in row.items() if key not in ("prompt", "tools", "kind")}
    return Prompt(
        prompt=asked if isinstance(asked, str) else question(asked),
        tools=messages.tools(row.get("tools")),
        fields=fields or None,
        where=where,
    )


def judged(row: Raw, where: Where) -> Row:
    """Read an answer with a verdict: `prompt`, `completion`, `label`, or `messages` and `label`."""
    key = next((key for key in VERDICTS if key in row), "label")
    if "completion" not in row:
        turns = messages.turns(row["messages"], key="messages")
        return judged_chat(turns, row[key], key=key, where=where)
    prompt, completed = row["prompt"], row["completion"]
    label = _verdict(row[key], key)
    if isinstance(prompt, str) and isinstance(completed, str):
        return Judged(prompt=prompt, completion=completed, label=label, where=where)
    turns = answer(completed, key="completion")
    return Judged(prompt=question(prompt), completion=turns, label=label, where=where)


def judged_chat(turns: Turns, label: Any, *, key: str, where: Where) -> Row:
    """Take the last turn of a chat as the answer that is judged.

    Raises:
        Fault: the last turn is not the assistant's, or nothing stands before it.
    """
    if turns[-1].role != "assistant" or len(turns) < 2:
        raise Fault(
            "no-assistant-turn",
            "the last turn is not an answer to anything",
            "end the row with the assistant's turn that the verdict is about",
        )
    verdict = _verdict(label, key)
    return Judged(prompt=turns[:-1], completion=turns[-1:], label=verdict, where=where)


def is_verdict(value: Any) -> bool:
    """Say whether a value can be meant as wanted or not wanted."""
    if isinstance(value, str):
        return value.lower() in ("true", "false")
    return isinstance(value, (bool, int, float)) and value in (0, 1)


def _segment(item: Any, place: str) -> tuple[bool, str]:
    given = as_object(item) or {}
    label, held = given.get("label"), given.get("text")
    if isinstance(label, bool) and isinstance(held, str):
        return label, held
    raise messages.wrong_type(place, item, 'a text such as {"label": true, "text": "..."}')


def _verdict(label: Any, key: str) -> bool:
    if isinstance(label, bool):
        return label
    # A CSV cell can only hold text.
    if isinstance(label, str) and label.lower() in ("true", "false"):
        return label.lower() == "true"
    raise Fault(
        "wrong-type",
        f"{key} is {messages.short(label)}, not true or false",
        "write true for a wanted answer, false for an unwanted one",
    )
