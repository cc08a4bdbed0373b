"""Rows of the right shape that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.reading import issues_of, prepared
from tunekit.errors import DataError

ASK = {"role": "user", "content": "2+2"}
SAY = {"role": "assistant", "content": "4"}
CALL = {"name": "add", "arguments": {}}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"messages": [ASK, {**SAY, "content": ""}]}, "empty-answer"),
        ({"messages": [ASK, {**SAY, "content": " \n"}, ASK, SAY]}, "empty-answer"),
        ({"conversations": [{"from": "gpt", "value": ""}]}, "empty-answer"),
        ({"instruction": "a", "output": ""}, "empty-answer"),
        ({"prompt": "a", "completion": "  "}, "empty-answer"),
        ({"text": "\n"}, "empty-answer"),
        ({"messages": [ASK]}, "no-assistant-turn"),
        ({"prompt": [ASK], "completion": [ASK]}, "no-assistant-turn"),
        ({"messages": [ASK, {**SAY, "weight": 0}]}, "no-trained-turn"),
    ],
)
def test_a_row_that_teaches_nothing_is_an_error(row: dict[str, Any], code: str) -> None:
    issues = issues_of([row])
    assert [(issue.code, issue.severity) for issue in issues] == [(code, "error")]
    assert issues[0].fix


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"messages": [ASK, SAY, ASK]}, "ends-without-answer"),
        ({"prompt": "", "completion": "a"}, "empty-prompt"),
        ({"prompt": "a", "completion": "b\0"}, "nul-character"),
    ],
)
def test_a_row_that_is_odd_is_a_warning(row: dict[str, Any], code: str) -> None:
    issues = prepared([row], validation=None).profile.issues
    assert [(issue.code, issue.severity) for issue in issues] == [(code, "warning")]


@pytest.mark.parametrize(
    "pair",
    [
        {"prompt": "a", "chosen": "b", "rejected": "b"},
        {"chosen": [ASK, SAY], "rejected": [ASK, SAY]},
    ],
)
def test_two_equal_answers_are_an_error(pair: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="identical-pair"):
        prepared([pair], validation=None, objective="dpo")


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_an_empty_side_of_a_pair_is_an_error(side: str) -> None:
    pair = {"prompt": "a", "chosen": "b", "rejected": "c", side: ""}
    with pytest.raises(DataError, match=f"{side} is empty"):
        prepared([pair], objective="dpo")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASK, {"role": "assistant", "tool_calls": [CALL]}]},
        {"messages": [ASK, {"role": "assistant", "content": "", "weight": 0}, ASK, SAY]},
        {"messages": [{"role": "user", "content": ""}, SAY]},
        {"messages": [SAY, ASK, SAY]},
    ],
)
def test_a_call_a_context_turn_or_a_greeting_may_stand_without_words(row: dict[str, Any]) -> None:
    assert prepared([row], validation=None).profile.issues == ()


def test_many_warnings_of_one_kind_are_counted_after_the_first_three() -> None:
    rows = [{"prompt": "", "completion": str(number)} for number in range(50)]
    issues = prepared(rows, validation=None).profile.issues
    assert len(issues) == 4
    assert issues[-1].message == "and 47 more like the 3 above"
