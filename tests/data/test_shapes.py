"""Rows whose format is plain and whose values have the wrong shape."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.reading import read

ASK = {"role": "user", "content": "2+2"}
SAY = {"role": "assistant", "content": "4"}
BAD = {"role": "assistant", "content": "5"}

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "text for turns": ({"messages": "hello"}, "wrong-type"),
    "number for a turn": ({"messages": [1]}, "wrong-type"),
    "text for a turn": ({"messages": ["hi", "there"]}, "wrong-type"),
    "no turns": ({"messages": []}, "no-messages"),
    "unknown role": ({"messages": [{"role": "robot", "content": "a"}]}, "unknown-role"),
    "no role": ({"messages": [{"content": "a"}]}, "unknown-role"),
    "role is a list": ({"messages": [{"role": ["user"], "content": "a"}]}, "unknown-role"),
    "null content": ({"messages": [ASK, {"role": "assistant", "content": None}]}, "null-content"),
    "no content": ({"messages": [ASK, {"role": "assistant"}]}, "null-content"),
    "no parts": ({"messages": [{"role": "user", "content": []}]}, "null-content"),
    "number for content": ({"messages": [{"role": "user", "content": 3}]}, "wrong-type"),
    "image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        "not-text",
    ),
    "number for a part": ({"messages": [{"role": "user", "content": [3]}]}, "wrong-type"),
    "number for a name": ({"messages": [{**ASK, "name": 3}]}, "wrong-type"),
    "weight of two": ({"messages": [ASK, {**SAY, "weight": 2}]}, "bad-weight"),
    "two contents": ({"messages": [{**ASK, "value": "other"}]}, "two-spellings"),
    "call without a name": (
        {"messages": [ASK, {"role": "assistant", "tool_calls": [{"arguments": {}}]}]},
        "bad-tool-call",
    ),
    "calls are a number": (
        {"messages": [ASK, {"role": "assistant", "tool_calls": 3}]},
        "wrong-type",
    ),
    "tools go on after their end": ({"messages": [ASK, SAY], "tools": "[] []"}, "bad-json"),
    "history is text": ({"instruction": "a", "output": "b", "history": "c"}, "wrong-type"),
    "calls are text": (
        {"messages": [ASK, {"role": "assistant", "tool_calls": "add(2)"}]},
        "bad-json",
    ),
    "arguments not json": (
        {
            "messages": [
                ASK,
                {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{a"}]},
            ]
        },
        "bad-tool-arguments",
    ),
    "arguments a list": (
        {"messages": [ASK, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": [1]}]}]},
        "bad-tool-arguments",
    ),
    "arguments nested too deep": (
        {
            "messages": [
                ASK,
                {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "[" * 9999}]},
            ]
        },
        "bad-tool-arguments",
    ),
    "tools a number": ({"messages": [ASK, SAY], "tools": 3}, "bad-tools"),
    "tools of texts": ({"messages": [ASK, SAY], "tools": ["add"]}, "bad-tools"),
    "text a number": ({"text": 3}, "wrong-type"),
    "prompt a number": ({"prompt": 3, "completion": "a"}, "wrong-type"),
    "completion a number": ({"prompt": "a", "completion": 3}, "wrong-type"),
    "chosen a number": ({"prompt": "a", "chosen": 3, "rejected": "b"}, "wrong-type"),
    "instruction a list": ({"instruction": ["a"], "output": "b"}, "wrong-type"),
    "history of texts": ({"instruction": "a", "output": "b", "history": ["c"]}, "wrong-type"),
    "label a number": ({"prompt": "a", "completion": "b", "label": 1}, "wrong-type"),
    "verdict on a question": ({"messages": [SAY, ASK], "label": True}, "no-assistant-turn"),
    "texts without a prompt": ({"chosen": "The cat", "rejected": "The car"}, "no-prompt"),
    "other questions": (
        {"chosen": [ASK, SAY], "rejected": [{"role": "user", "content": "?"}, BAD]},
        "prompt-mismatch",
    ),
    "nothing shared": ({"chosen": [SAY], "rejected": [BAD]}, "prompt-mismatch"),
}


@pytest.mark.parametrize(("raw", "code"), FAULTS.values(), ids=FAULTS)
def test_a_row_of_the_wrong_shape_is_told_by_its_code(raw: dict[str, Any], code: str) -> None:
    _, rows, issues = read(raw)
    assert not rows
    assert [(issue.code, issue.severity, issue.line) for issue in issues] == [(code, "error", 1)]
    assert issues[0].fix


def test_a_type_that_flips_is_told_at_its_row() -> None:
    good = {"messages": [ASK, SAY]}
    issues = read(good, good, {"messages": "2+2"}, good)[2]
    assert [(issue.code, issue.line) for issue in issues] == [("wrong-type", 3)]
    assert "messages is '2+2', not a list of turns" in issues[0].message


@pytest.mark.parametrize(
    ("role", "near"), [("asistant", "assistant"), ("User", "user"), ("sytem", "system")]
)
def test_a_misspelt_role_names_the_nearest(role: str, near: str) -> None:
    issues = read({"messages": [{"role": role, "content": "a"}]})[2]
    assert near in issues[0].fix
    assert "messages[0].role" in issues[0].message


@pytest.mark.parametrize("format", ["alpaca", "judged", "preference", "sharegpt", "text"])
def test_a_named_format_tells_the_keys_it_misses(format: str) -> None:
    _, _, issues = read({"prompt": "a", "completion": "b"}, wanted=format)
    assert [issue.code for issue in issues] == ["missing-key"]
    assert "prompt, completion" in issues[0].message
