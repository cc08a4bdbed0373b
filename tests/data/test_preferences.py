"""Pairs in the shapes of Axolotl and UltraFeedback, segments, and tables of other libraries."""

from __future__ import annotations

from typing import Any

import pytest

import tunekit as tk
from tests.data.reading import issues_of, prepared, read
from tests.data.test_formats import (
    ASK,
    ASKED,
    BAD,
    HERE,
    KIND,
    PAIR,
    SAID,
    SAY,
    WRONG,
    chat,
    turn,
)
from tunekit.data.rows import Completion, Preference, Row

LED = Preference(prompt=(KIND, ASKED), chosen=(SAID,), rejected=(WRONG,), where=HERE)
SCORED = [
    {"response": "5", "overall_score": 2.0, "model": "a"},
    {"response": "4", "overall_score": 9.5, "model": "b"},
    {"response": "22", "overall_score": 4, "model": "c"},
]

KNOWN: dict[str, tuple[dict[str, Any], str, Row]] = {
    "axolotl chatml.intel": (
        {"system": "be kind", "question": "2+2", "chosen": "4", "rejected": "5"},
        "preference",
        LED,
    ),
    "axolotl chatml.intel with an empty system": (
        {"system": "", "question": "2+2", "chosen": "4", "rejected": "5"},
        "preference",
        PAIR,
    ),
    "axolotl chatml.icr": (
        {"system": "be kind", "input": "2+2", "chosen": "4", "rejected": "5"},
        "preference",
        LED,
    ),
    "axolotl chatml.argilla": (
        {"instruction": "2+2", "chosen_response": "4", "rejected_response": "5"},
        "preference",
        PAIR,
    ),
    "axolotl chatml.prompt_pairs": (
        {"system": "be kind", "prompt": "2+2", "chosen": "4", "rejected": "5"},
        "preference",
        LED,
    ),
    "axolotl chat_template with a system turn": (
        {
            "messages": [{"role": "system", "content": "be kind"}, ASK],
            "chosen": SAY,
            "rejected": BAD,
        },
        "preference",
        LED,
    ),
    "ultrafeedback binarized, the chosen chat twice": (
        {"prompt": "2+2", "messages": [ASK, SAY], "chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        "preference",
        PAIR,
    ),
    "ultrafeedback scored": (
        {"instruction": "2+2", "completions": SCORED},
        "ultrafeedback",
        PAIR,
    ),
    "axolotl input_output": (
        {
            "segments": [
                {"label": False, "text": "<s>2"},
                {"label": False, "text": "+2="},
                {"label": True, "text": "4</s>"},
            ]
        },
        "segments",
        Completion(prompt="<s>2+2=", completion="4</s>", where=HERE),
    ),
    "gpt-oss thinking": (
        {"messages": [ASK, {**SAY, "thinking": "sum"}]},
        "conversation",
        chat(ASKED, turn("assistant", "4", reasoning="sum")),
    ),
}


@pytest.mark.parametrize(("raw", "format", "row"), KNOWN.values(), ids=KNOWN)
def test_shapes_of_other_tools_are_recognised_and_read(
    raw: dict[str, Any], format: str, row: Row
) -> None:
    found, rows, issues = read(raw)
    assert (found, rows) == (format, [row])
    assert not issues


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ({"question": "a", "input": "b", "chosen": "c", "rejected": "d"}, "two-spellings"),
        ({"instruction": "a", "completions": SCORED[:1]}, "tied-scores"),
        ({"instruction": "a", "completions": [SCORED[0], SCORED[0]]}, "tied-scores"),
        ({"instruction": "a", "completions": [{"response": "a"}]}, "wrong-type"),
        ({"instruction": "a", "completions": "b"}, "wrong-type"),
        ({"segments": [{"label": True, "text": "a"}, {"label": False, "text": "b"}]}, "mixed-segm"),
        ({"segments": [{"label": 1, "text": "a"}]}, "wrong-type"),
        ({"segments": {"label": True}}, "wrong-type"),
        (
            {"messages": [ASK, {**SAY, "thinking": "a", "reasoning_content": "b"}]},
            "two-spellings",
        ),
    ],
)
def test_what_these_shapes_leave_open_is_an_error_with_a_fix(
    raw: dict[str, Any], code: str
) -> None:
    _, rows, issues = read(raw)
    assert not rows
    assert issues[0].code.startswith(code)
    assert issues[0].fix


def test_a_question_beside_the_prompt_of_a_pair_is_told_as_not_read() -> None:
    raw = {"prompt": "Q: 2+2", "question": "2+2", "chosen": "4", "rejected": "5"}
    _, rows, issues = read(raw)
    assert isinstance(rows[0], Preference)
    assert rows[0].prompt == "Q: 2+2"
    assert [issue.code for issue in issues] == ["ignored-keys"]


def test_rows_without_a_better_answer_can_be_left_out() -> None:
    rows = [{"instruction": f"{n}+0", "completions": SCORED} for n in range(30)]
    tied = {"instruction": "2+2", "completions": SCORED[:1]}
    checks = {"duplicate-row": "off", "near-duplicate": "off", "length-bias": "off"}
    data = tk.Data(source=(*rows, tied), drop=("tied-scores",), checks=checks)
    ready = prepared(data, objective="dpo", validation=None)
    assert len(ready.train) == 30
    assert [(out.code, out.line) for out in ready.dropped] == [("tied-scores", 31)]


def test_a_table_of_pandas_is_rows_and_its_row_numbers_are_told() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"prompt": ["a", "b"], "completion": ["c", " "]})
    issues = issues_of(frame)
    assert [(issue.code, issue.line) for issue in issues] == [("empty-answer", 2)]


def test_a_dictionary_of_splits_says_which_to_give() -> None:
    datasets = pytest.importorskip("datasets")
    split = datasets.Dataset.from_list([{"prompt": "a", "completion": "b"}])
    with pytest.raises(tk.errors.SpecError, match=r"give one split of it, such as data\['train'\]"):
        tk.FineTune(model="Qwen/Qwen3-0.6B", data=datasets.DatasetDict(train=split))
