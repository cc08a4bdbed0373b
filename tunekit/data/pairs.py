"""Rows that are a prompt with an answer, a pair, or a verdict; and plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunekit.data import messages
from tunekit.data.issues import Fault
from tunekit.data.json_text import as_object
from tunekit.data.rows import (
    Completion,
    Conversation,
    Judged,
    Message,
    Preference,
    Prompt,
    Row,
    Text,
    Where,
)

Raw = Mapping[str, Any]
Turns = tuple[Message, ...]

VERDICTS = ("label", "kto_tag")
_TURN_OF_TEXT = "\n\nAssistant:"
"""Ends the prompt in transcripts that are one text (the hh-rlhf datasets)."""


def text(row: Raw, where: Where) -> Row:
    """Read `text`."""
    if not isinstance(row["text"], str):
        raise messages.wrong_type("text", row["text"], "text")
    return Text(text=row["text"], where=where)


def completion(row: Raw, where: Where) -> Row:
    """Read `prompt` and `completion`: both text, or turns of a chat.

    Of turns only the completion's are trained on.
    """
    if isinstance(row["prompt"], str) and isinstance(row["completion"], str):
        return Completion(prompt=row["prompt"], completion=row["completion"], where=where)
    prompt = tuple(
        turn.model_copy(update={"weight": 0.0}) if turn.role == "assistant" else turn
        for turn in _question(row["prompt"])
    )
    turns = prompt + answer(row["completion"], key="completion")
    return Conversation(messages=turns, tools=messages.tools(row.get("tools")), where=where)


def prompt(row: Raw, where: Where) -> Row:
    """Read `prompt` alone; every other column is kept for a function that judges answers."""
    asked = row["prompt"]
    fields = {key: held for key, held in row.items() if key not in ("prompt", "tools", "kind")}
    return Prompt(
        prompt=asked if isinstance(asked, str) else _question(asked),
        tools=messages.tools(row.get("tools")),
        fields=fields or None,
        where=where,
    )


def preference(row: Raw, where: Where) -> Row:
    """Read a pair: `prompt`, `chosen`, `rejected`, or OpenAI's `preferred_output`.

    Without a prompt, it is what both answers begin with.
    """
    if "preferred_output" in row:
        return _openai(row, where)
    prompt, chosen, rejected = row.get("prompt"), row["chosen"], row["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str) and not _is_chat(prompt):
        if prompt is None and "messages" not in row:
            prompt, chosen, rejected = _split_text(chosen, rejected)
        if isinstance(prompt, str):
            return Preference(prompt=prompt, chosen=chosen, rejected=rejected, where=where)
    if prompt is None and isinstance(chosen, (str, Mapping)):
        prompt = row.get("messages")
    return chat_preference(
        () if prompt is None else _question(prompt),
        answer(chosen, key="chosen"),
        answer(rejected, key="rejected"),
        tools=messages.tools(row.get("tools")),
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
    return Judged(prompt=_question(prompt), completion=turns, label=label, where=where)


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


def chat_preference(
    prompt: Turns,
    chosen: Turns,
    rejected: Turns,
    *,
    tools: list[dict[str, Any]] | None,
    where: Where,
) -> Row:
    """Split prompt and answers, whether the answers repeat the prompt or not.

    Raises:
        Fault: `prompt-mismatch`, the answers belong to different prompts.
    """
    shared = _shared(chosen, rejected)
    if not prompt:
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    elif shared and _repeats(prompt, chosen[:shared]):
        # The answers hold more of the prompt than the key, such as a system turn.
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not prompt or chosen[0].role != "assistant" or rejected[0].role != "assistant":
        raise Fault(
            "prompt-mismatch",
            "chosen and rejected are not answers to the same prompt",
            "both must begin with the same turns and part at an assistant's turn",
        )
    return Preference(prompt=prompt, chosen=chosen, rejected=rejected, tools=tools, where=where)


def answer(value: Any, *, key: str) -> Turns:
    """Read an answer: text, one turn, or turns."""
    if isinstance(value, str):
        return (Message(role="assistant", content=value),)
    return messages.turns(value, key=key)


def is_verdict(value: Any) -> bool:
    """Say whether a value can be meant as wanted or not wanted."""
    if isinstance(value, str):
        return value.lower() in ("true", "false")
    return isinstance(value, (bool, int, float)) and value in (0, 1)


def _openai(row: Raw, where: Where) -> Row:
    given, tools = row["input"], row.get("tools")
    if (asked := as_object(given)) is not None:
        given, tools = asked.get("messages"), asked.get("tools", tools)
    return chat_preference(
        messages.turns(given, key="input.messages"),
        answer(row["preferred_output"], key="preferred_output"),
        answer(row["non_preferred_output"], key="non_preferred_output"),
        tools=messages.tools(tools),
        where=where,
    )


def _is_chat(prompt: Any) -> bool:
    return prompt is not None and not isinstance(prompt, str)


def _question(prompt: Any) -> Turns:
    if isinstance(prompt, str):
        return (Message(role="user", content=prompt),)
    return messages.turns(prompt, key="prompt")


def _shared(chosen: Turns, rejected: Turns) -> int:
    """Count the turns both begin with; each keeps at least one of its own."""
    most = min(len(chosen), len(rejected)) - 1
    return next((i for i in range(most) if chosen[i] != rejected[i]), most)


def _repeats(prompt: Turns, beginning: Turns) -> bool:
    return prompt in (beginning[: len(prompt)], beginning[-len(prompt) :])


def _split_text(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Take the prompt off two transcripts: all up to the last answer's mark that they share."""
    differ = (i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
    same = next(differ, min(len(chosen), len(rejected)))
    end = chosen.rfind(_TURN_OF_TEXT, 0, same)
    if end < 0:
        raise Fault(
            "no-prompt",
            "chosen and rejected are text, and there is no prompt",
            'add "prompt": the text that both answer',
        )
    end += len(_TURN_OF_TEXT)
    return chosen[:end], chosen[end:], rejected[end:]


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
