"""Nothing is left out unless the spec says so, and then it is counted and written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tunekit as tk
from tests.data.reading import jsonl, prepared
from tunekit import errors
from tunekit.data import dropped
from tunekit.data.dropped import Dropped
from tunekit.data.issues import Issue

ROWS = [{"prompt": f"How many days are {n} weeks?", "completion": str(7 * n)} for n in range(30)]
EMPTY = {"prompt": "How many days are 99 weeks?", "completion": " "}


def test_an_empty_answer_stops_the_run_unless_the_spec_drops_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS, EMPTY))

    with pytest.raises(errors.DataError, match="empty-answer"):
        prepared(path, validation=None)
    made = prepared(tk.Data(source=str(path), drop=("empty-answer",)), validation=None)

    assert len(made.train) == 30
    assert [(row.line, row.code) for row in made.dropped] == [(31, "empty-answer")]
    assert made.dropped[0].row is not None
    assert made.dropped[0].row["prompt"] == EMPTY["prompt"]
    assert made.profile.dropped == {"empty-answer": 1}


def test_a_line_that_cannot_be_read_is_dropped_with_its_place_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS[:20]) + b'{"prompt": "cut\n' + jsonl(*ROWS[20:]))

    made = prepared(tk.Data(source=str(path), drop=("truncated-json",)), validation=None)

    assert len(made.train) == 30
    assert [(row.line, row.row) for row in made.dropped] == [(21, None)]


@pytest.mark.parametrize("bad", [{"question": "?", "reply": "!"}, {"prompt": 1, "completion": "2"}])
def test_rows_read_are_rows_kept_held_out_and_dropped(tmp_path: Path, bad: dict[str, str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS, bad, EMPTY, bad, bad))
    codes = ("empty-answer", "unknown-format", "wrong-type")

    made = prepared(tk.Data(source=str(path), drop=codes))

    assert len(made.train) + len(made.validation) + len(made.dropped) == 34
    assert len(made.dropped) == 4
    assert made.validation


def test_copies_are_dropped_and_the_first_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS, *ROWS[:3]))

    made = prepared(tk.Data(source=str(path), drop=("duplicate-row",)), validation=None)

    assert [row.where.line for row in made.train] == list(range(1, 31))
    assert [(row.line, row.code) for row in made.dropped] == [
        (31, "duplicate-row"),
        (32, "duplicate-row"),
        (33, "duplicate-row"),
    ]


def test_a_source_of_which_everything_is_dropped_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(EMPTY, EMPTY))

    with pytest.raises(errors.DataError, match="no rows are left: 2 rows dropped"):
        prepared(tk.Data(source=str(path), drop=("empty-answer",)))


def test_an_unknown_code_names_the_nearest_one() -> None:
    with pytest.raises(errors.SpecError, match="duplicate-row"):
        prepared(tk.Data(source=ROWS, drop=("duplicate-rows",)))
    with pytest.raises(errors.SpecError, match="empty-answer"):
        prepared(tk.Data(source=ROWS, checks={"empty-answers": "warning"}))


def test_an_error_can_be_made_a_warning_and_a_warning_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS, EMPTY))

    made = prepared(tk.Data(source=str(path), checks={"empty-answer": "warning"}), validation=None)
    assert "empty-answer" in [issue.code for issue in made.profile.issues]
    assert len(made.train) == 31

    path.write_bytes(jsonl(*[{**row, "source": "a"} for row in ROWS]))
    assert prepared(path).profile.issues
    with pytest.raises(errors.DataError, match="ignored-keys"):
        prepared(tk.Data(source=str(path), checks={"ignored-keys": "error"}))
    quiet = prepared(tk.Data(source=str(path), checks={"ignored-keys": "off"}))
    assert "ignored-keys" not in [issue.code for issue in quiet.profile.issues]


def test_the_same_row_is_written_once_however_often_it_is_found(tmp_path: Path) -> None:
    path = tmp_path / "dropped.jsonl"
    issue = Issue(code="too-long", file="train.jsonl", line=4, message="long", fix="shorten it")
    row = Dropped.by(issue)

    dropped.add([row], path)
    dropped.add([row, row.model_copy(update={"line": 5})], path)

    assert [json.loads(line)["line"] for line in path.read_text().splitlines()] == [4, 5]
    assert dropped.read(path)[0] == row
