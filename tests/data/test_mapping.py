"""Columns of any name are read under the name that the spec gives them."""

from __future__ import annotations

import pytest

from tests.data.reading import TINY, prepared
from tunekit.data.rows import Completion, Prompt
from tunekit.errors import DataError
from tunekit.spec.finetune import Data

ROWS = [{"question": f"{n} + 1?", "meta": {"reply": str(n + 1)}, "id": n} for n in range(8)]


def test_a_column_and_a_nested_one_are_read_under_other_names() -> None:
    names = {"prompt": "question", "completion": "meta.reply"}
    made = prepared(Data(source=ROWS, mapping=names, checks=TINY), validation=None)

    first = made.train[0]
    assert isinstance(first, Completion)
    assert (first.prompt, first.completion) == ("0 + 1?", "1")
    assert made.profile.issues[0].message == "these keys are not read: id"


def test_a_column_that_is_missing_names_the_nearest_one() -> None:
    names = {"prompt": "questions", "completion": "meta.reply"}
    with pytest.raises(DataError, match=r"missing-column(.|\n)*did you mean 'question'"):
        prepared(Data(source=ROWS, mapping=names))


def test_a_column_whose_name_holds_a_point_is_found() -> None:
    rows = [{"a.b": "text that is long enough", "c": 1}]
    made = prepared(Data(source=rows, mapping={"text": "a.b"}, checks=TINY), validation=None)
    assert made.profile.kind == "text"


def test_prompts_alone_are_rows_that_no_objective_takes_yet() -> None:
    from tests.data.reading import read

    format, rows, issues = read({"prompt": "Name a river."})
    assert (format, issues) == ("prompt", [])
    assert isinstance(rows[0], Prompt)

    format, rows, _ = read({"prompt": "2+2", "ground_truth": "4"}, wanted="prompt")
    assert isinstance(rows[0], Prompt)
    assert rows[0].fields == {"ground_truth": "4"}
