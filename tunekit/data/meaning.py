"""What is wrong with the meaning of a row, once its shape is right."""

from __future__ import annotations

from collections.abc import Iterator

from tunekit.data.issues import Fault, Issue
from tunekit.data.rows import (
    Completion,
    Conversation,
    Judged,
    Message,
    Preference,
    Prompt,
    Row,
    Text,
)
from tunekit.data.words import texts


def check(row: Row) -> list[Issue]:
    """Give the issues of one row."""
    where = row.where
    faults = [fault.at(where.file, where.line) for fault in _faults(row)]
    warnings = _warnings(row)
    return faults + [fault.at(where.file, where.line, severity="warning") for fault in warnings]


def answers(row: Row) -> Iterator[tuple[str, str | tuple[Message, ...]]]:
    """Give what the row trains on, with its name."""
    if isinstance(row, Conversation):
        yield "messages", row.messages
    elif isinstance(row, Text):
        yield "text", row.text
    elif isinstance(row, Preference):
        yield "chosen", row.chosen
        yield "rejected", row.rejected
    elif not isinstance(row, Prompt):
        yield "completion", row.completion


def _faults(row: Row) -> Iterator[Fault]:
    for name, answer in answers(row):
        if isinstance(answer, str):
            if not answer.strip():
                yield _empty(name)
        else:
            yield from _turns(name, answer)


def _turns(name: str, turns: tuple[Message, ...]) -> Iterator[Fault]:
    spoken = [(index, turn) for index, turn in enumerate(turns) if turn.role == "assistant"]
    trained = [(index, turn) for index, turn in spoken if turn.weight != 0]
    if not spoken:
        yield Fault(
            "no-assistant-turn",
            f"{name} has no assistant turn, so there is nothing to learn",
            'add a turn {"role": "assistant", "content": "..."}, or delete the row',
        )
    elif not trained:
        yield Fault(
            "no-trained-turn",
            f"every assistant turn of {name} has weight 0, so there is nothing to learn",
            "give the turn to train on weight 1, or delete the row",
        )
    for index, turn in trained:
        if _says_nothing(turn):
            yield _empty(f"{name}[{index}].content")


def _says_nothing(turn: Message) -> bool:
    if turn.tool_calls:
        return False
    return not isinstance(turn.content, str) or not turn.content.strip()


def _empty(name: str) -> Fault:
    return Fault(
        "empty-answer",
        f"{name} is empty, which teaches the model to say nothing",
        "write the answer, or delete the row",
    )


def _warnings(row: Row) -> Iterator[Fault]:
    if isinstance(row, Preference) and row.chosen == row.rejected:
        yield Fault(
            "identical-pair",
            "chosen and rejected are the same, so the row teaches nothing",
            "delete the row, or find the answer that was meant",
        )
    if isinstance(row, Conversation) and row.messages[-1].role != "assistant":
        yield Fault(
            "ends-without-answer",
            f"the last turn is the {row.messages[-1].role}'s; it is not trained on",
            "end the row with the assistant's answer",
        )
    if isinstance(row, (Completion, Preference, Judged, Prompt)) and _blank(row.prompt):
        yield Fault("empty-prompt", "the prompt is empty", "write the prompt, or use text rows")
    if "\0" in "".join(texts(row)):
        yield Fault(
            "nul-character",
            "a text holds the character NUL, which most tokenizers drop",
            'remove it: text.replace("\\0", "")',
        )


def _blank(prompt: str | tuple[Message, ...]) -> bool:
    return isinstance(prompt, str) and not prompt.strip()
