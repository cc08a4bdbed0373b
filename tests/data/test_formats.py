"""Formats: what each becomes, and what is said when none or several fit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.data.reading import issues_of, prepared, read
from tunekit.data.rows import (
    Completion,
    Conversation,
    Judged,
    Message,
    Preference,
    Row,
    Text,
    Where,
)

HERE = Where(file="rows", line=1)
ASK = {"role": "user", "content": "2+2"}
SAY = {"role": "assistant", "content": "4"}
BAD = {"role": "assistant", "content": "5"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {}}}


def turn(role: Any, content: str | None = None, **more: Any) -> Message:
    return Message(role=role, content=content, **more)


ASKED, SAID, WRONG = turn("user", "2+2"), turn("assistant", "4"), turn("assistant", "5")
KIND = turn("system", "be kind")
PAIR = Preference(prompt=(ASKED,), chosen=(SAID,), rejected=(WRONG,), where=HERE)


def chat(*turns: Message, tools: Any = None) -> Conversation:
    return Conversation(messages=turns, tools=tools, where=HERE)


KNOWN: dict[str, tuple[dict[str, Any], str, Row]] = {
    "openai messages": ({"messages": [ASK, SAY]}, "conversation", chat(ASKED, SAID)),
    "openai tools": (
        {
            "messages": [
                {"role": "developer", "content": "be kind"},
                ASK,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "content": "4", "tool_call_id": "c1"},
                SAY,
            ],
            "tools": [TOOL],
        },
        "conversation",
        chat(
            KIND,
            ASKED,
            turn("assistant", tool_calls=[CALL]),
            turn("tool", "4", tool_call_id="c1"),
            SAID,
            tools=[TOOL],
        ),
    ),
    "arguments as an object, tools as text": (
        {
            "messages": [
                ASK,
                {"role": "assistant", "tool_calls": [{"name": "add", "arguments": {"a": 2}}]},
            ],
            "tools": json.dumps([TOOL["function"]]),
        },
        "conversation",
        chat(
            ASKED,
            turn("assistant", tool_calls=[{k: CALL[k] for k in ("type", "function")}]),
            tools=[TOOL],
        ),
    ),
    "openai function call": (
        {
            "messages": [
                ASK,
                {"role": "assistant", "content": None, "function_call": CALL["function"]},
                {"role": "function", "name": "add", "content": "4"},
                SAY,
            ]
        },
        "conversation",
        chat(
            ASKED,
            turn("assistant", tool_calls=[{k: CALL[k] for k in ("type", "function")}]),
            turn("tool", "4", name="add"),
            SAID,
        ),
    ),
    "parts, name, weight and reasoning": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "+2"}],
                },
                {**BAD, "weight": 0, "name": "ann"},
                ASK,
                {**SAY, "reasoning_content": "sum", "weight": 1},
            ]
        },
        "conversation",
        chat(
            ASKED,
            turn("assistant", "5", weight=0.0, name="ann"),
            ASKED,
            turn("assistant", "4", weight=1.0, reasoning="sum"),
        ),
    ),
    "sharegpt": (
        {
            "conversations": [
                {"from": "human", "value": "2+2"},
                {"from": "gpt", "value": "4"},
            ],
            "system": "be kind",
        },
        "sharegpt",
        chat(KIND, ASKED, SAID),
    ),
    "sharegpt with tools": (
        {
            "conversations": [
                {"from": "human", "value": "2+2"},
                {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 2}}'},
                {"from": "observation", "value": "4"},
                {"from": "gpt", "value": "4"},
            ],
            "tools": json.dumps([TOOL["function"]]),
        },
        "sharegpt",
        chat(
            ASKED,
            turn("assistant", tool_calls=[{k: CALL[k] for k in ("type", "function")}]),
            turn("tool", "4"),
            SAID,
            tools=[TOOL],
        ),
    ),
    "sharegpt with a pair": (
        {
            "conversations": [{"from": "human", "value": "2+2"}],
            "chosen": {"from": "gpt", "value": "4"},
            "rejected": {"from": "gpt", "value": "5"},
        },
        "sharegpt",
        PAIR,
    ),
    "sharegpt with a verdict": (
        {
            "conversations": [{"from": "human", "value": "2+2"}, {"from": "gpt", "value": "4"}],
            "kto_tag": True,
        },
        "sharegpt",
        Judged(prompt=(ASKED,), completion=(SAID,), label=True, where=HERE),
    ),
    "alpaca": (
        {"instruction": "Add.", "input": "2+2", "output": "4"},
        "alpaca",
        chat(turn("user", "Add.\n2+2"), SAID),
    ),
    "alpaca with history": (
        {
            "instruction": "2+2",
            "input": "",
            "output": "4",
            "system": "be kind",
            "history": [["1+1", "2"]],
        },
        "alpaca",
        chat(KIND, turn("user", "1+1"), turn("assistant", "2"), ASKED, SAID),
    ),
    "alpaca with a pair": (
        {"instruction": "2+2", "chosen": "4", "rejected": "5"},
        "alpaca",
        PAIR,
    ),
    "alpaca with a verdict": (
        {"instruction": "2+2", "output": "4", "label": False},
        "alpaca",
        Judged(prompt=(ASKED,), completion=(SAID,), label=False, where=HERE),
    ),
    "prompt and completion": (
        {"prompt": "2+2=", "completion": "4"},
        "completion",
        Completion(prompt="2+2=", completion="4", where=HERE),
    ),
    "prompt and completion of turns": (
        {"prompt": [ASK, BAD, ASK], "completion": [SAY]},
        "completion",
        chat(ASKED, turn("assistant", "5", weight=0.0), ASKED, SAID),
    ),
    "text": ({"text": "Once upon a time"}, "text", Text(text="Once upon a time", where=HERE)),
    "a pair of texts": (
        {"prompt": "2+2=", "chosen": "4", "rejected": "5"},
        "preference",
        Preference(prompt="2+2=", chosen="4", rejected="5", where=HERE),
    ),
    "a pair of turns": ({"prompt": [ASK], "chosen": [SAY], "rejected": [BAD]}, "preference", PAIR),
    "a pair that repeats the prompt": (
        {"prompt": "2+2", "chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        "preference",
        PAIR,
    ),
    "a pair with an implicit prompt": (
        {"chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        "preference",
        PAIR,
    ),
    "two transcripts": (
        {
            "chosen": "\n\nHuman: 2+2\n\nAssistant: 4",
            "rejected": "\n\nHuman: 2+2\n\nAssistant: 5",
        },
        "preference",
        Preference(prompt="\n\nHuman: 2+2\n\nAssistant:", chosen=" 4", rejected=" 5", where=HERE),
    ),
    "openai preferences": (
        {
            "input": {"messages": [ASK], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [SAY],
            "non_preferred_output": [BAD],
        },
        "preference",
        PAIR.model_copy(update={"parallel_tool_calls": True}),
    ),
    "messages with a pair": (
        {"messages": [ASK], "chosen": SAY, "rejected": BAD},
        "preference",
        PAIR,
    ),
    "judged text": (
        {"prompt": "2+2=", "completion": "4", "label": True},
        "judged",
        Judged(prompt="2+2=", completion="4", label=True, where=HERE),
    ),
    "judged turns": (
        {"prompt": [ASK], "completion": [SAY], "label": False},
        "judged",
        Judged(prompt=(ASKED,), completion=(SAID,), label=False, where=HERE),
    ),
    "messages with a verdict": (
        {"messages": [ASK, SAY], "label": True},
        "judged",
        Judged(prompt=(ASKED,), completion=(SAID,), label=True, where=HERE),
    ),
    "a verdict out of a table": (
        {"prompt": "2+2=", "completion": "4", "label": "FALSE"},
        "judged",
        Judged(prompt="2+2=", completion="4", label=False, where=HERE),
    ),
}


@pytest.mark.parametrize(("raw", "format", "row"), KNOWN.values(), ids=KNOWN)
def test_every_format_is_recognised_and_read(raw: dict[str, Any], format: str, row: Row) -> None:
    assert read(raw) == (format, [row], [])


@pytest.mark.parametrize(("raw", "format", "row"), KNOWN.values(), ids=KNOWN)
def test_a_format_that_is_named_reads_the_same(raw: dict[str, Any], format: str, row: Row) -> None:
    assert read(raw, wanted=format) == (format, [row], [])


@pytest.mark.parametrize(
    ("raw", "formats"),
    [
        ({"messages": [ASK, SAY], "text": "a"}, "conversation, text"),
        ({"prompt": "a", "completion": "b", "text": "c"}, "completion, text"),
        ({"instruction": "a", "input": "", "output": "b", "text": "c"}, "alpaca, text"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "completion": "d"}, "completion, prefer"),
        ({"messages": [ASK, SAY], "chosen": [SAY], "rejected": [BAD]}, "conversation, preference"),
        ({"messages": [ASK], "conversations": []}, "sharegpt, conversation"),
    ],
)
def test_a_row_that_can_be_read_in_two_ways_lists_both(raw: dict[str, Any], formats: str) -> None:
    _, rows, issues = read(raw)
    assert not rows
    assert [issue.code for issue in issues] == ["ambiguous-format"]
    assert all(f"{name}" in issues[0].message for name in formats.split(", "))
    assert "format: " in issues[0].fix


def test_a_named_format_settles_what_is_ambiguous_and_tells_the_keys_left_out() -> None:
    raw = {"instruction": "Add.", "input": "", "output": "4", "text": "Below is ..."}
    format, rows, issues = read(raw, wanted="alpaca")
    assert (format, len(rows)) == ("alpaca", 1)
    assert [(issue.code, issue.severity) for issue in issues] == [("ignored-keys", "warning")]
    assert "text" in issues[0].message


def test_preferences_with_the_whole_chat_beside_them_can_be_named() -> None:
    raw = {"prompt": "2+2", "messages": [ASK, SAY], "chosen": [ASK, SAY], "rejected": [ASK, BAD]}
    assert read(raw, wanted="preference")[1] == [PAIR]


@pytest.mark.parametrize(
    ("raw", "rename"),
    [
        ({"question": "a", "answer": "b"}, "'answer' to 'completion' and 'question' to 'prompt'"),
        ({"prompt": "a", "response": "b"}, "'response' to 'completion'"),
        ({"mesages": []}, "'mesages' to 'messages'"),
        ({"prompt": "a", "complétion": "b"}, "'complétion' to 'completion'"),
    ],
)
def test_unknown_keys_are_listed_with_a_better_name(raw: dict[str, Any], rename: str) -> None:
    _, _, issues = read(raw)
    assert [issue.code for issue in issues] == ["unknown-format"]
    assert all(key in issues[0].message for key in raw)
    assert rename in issues[0].fix
    assert "judged (prompt, completion, label" in issues[0].fix


def test_rows_with_the_same_unknown_keys_are_told_once() -> None:
    issues = read(*[{"a": 1, "b": 2}] * 50, {"b": 1, "c": 3})[2]
    assert [(issue.code, issue.line) for issue in issues] == [
        ("unknown-format", 1),
        ("unknown-format", 51),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"text": "a"}, {"prompt": "a", "completion": "b"}),
        ({"messages": [ASK, SAY]}, {"instruction": "a", "output": "b"}),
        ({"prompt": "a", "completion": "b"}, {"prompt": [ASK], "completion": [SAY]}),
        (
            {"prompt": "a", "chosen": "b", "rejected": "c"},
            {"chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        ),
        ({"messages": [ASK, SAY]}, {"messages": [ASK, SAY], "label": True}),
    ],
)
def test_two_formats_in_one_dataset_name_the_first_row_of_each(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    issues = read(first, first, second, first, second)[2]
    assert [(issue.code, issue.line) for issue in issues] == [("mixed-formats", 3)]
    assert "rows:1 is " in issues[0].message


def test_keys_that_are_not_read_are_told_once_with_the_key_that_may_be_meant() -> None:
    turns = [{**ASK, "timestamp": 3}, SAY]
    rows = [{"messages": turns, "id": n, "tool": []} for n in range(30)]
    issues = issues_of(rows, validation=None)
    assert [issue.code for issue in issues] == ["ignored-keys"]
    assert issues[0].message == "these keys are not read: id, tool, messages[].timestamp"
    assert "'tool' may be meant as 'tools'" in issues[0].fix


def test_a_chat_of_prompt_and_completion_trains_on_the_completion_alone() -> None:
    ready = prepared([{"prompt": [ASK, BAD, ASK], "completion": [SAY]}])
    row = ready.train[0]
    assert isinstance(row, Conversation)
    assert [turn.weight for turn in row.messages] == [None, 0.0, None, None]
