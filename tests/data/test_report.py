"""A report names everything that is wrong, in one pass, and raises nothing for bad rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.data.reading import jsonl
from tunekit import data
from tunekit.errors import DataError, SpecError
from tunekit.spec.finetune import Data

ROWS = [{"prompt": f"How many days are {n} weeks?", "completion": str(7 * n)} for n in range(80)]


def test_a_sound_file_is_counted_and_hashed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS))

    report = data.check(str(path))

    assert (report.ok, report.rows, report.kind, report.counts) == (True, 80, "completion", {})
    assert report.sha256 == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    assert "nothing is wrong" in str(report)


def test_all_findings_are_counted_twenty_shown_and_every_one_written(tmp_path: Path) -> None:
    path, issues = tmp_path / "rows.jsonl", tmp_path / "issues.jsonl"
    path.write_bytes(jsonl(*ROWS) + b"{oops\n" * 1500 + jsonl(ROWS[3]))

    report = data.check(str(path), issues=issues)

    written = [json.loads(line) for line in issues.read_text().splitlines()]
    assert not report.ok
    assert report.counts == {"bad-json": 1500, "duplicate-row": 1}
    assert len(report.issues) == 20
    assert len(written) == 1501
    assert all(issue["file"] == str(path) and issue["line"] and issue["fix"] for issue in written)
    assert "... and 1,481 more" in str(report)


def test_the_form_alone_can_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS, ROWS[0]))

    assert data.check(str(path), quality=False).counts == {}
    assert data.check(str(path)).counts == {"duplicate-row": 1}


def test_held_out_rows_that_are_trained_on_are_found(tmp_path: Path) -> None:
    train, held = tmp_path / "train.jsonl", tmp_path / "held.jsonl"
    train.write_bytes(jsonl(*ROWS))
    held.write_bytes(jsonl({"prompt": "What is new?", "completion": "This"}, ROWS[5]))

    report = data.check(str(train), validation=str(held))

    assert report.counts == {"leaked-row": 1}
    assert (report.issues[0].file, report.issues[0].line) == (str(held), 2)


def test_what_cannot_be_opened_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        data.check(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(SpecError, match="did you mean 'duplicate-row'"):
        data.check(Data(source=ROWS, checks={"duplicate-rows": "off"}))


def test_a_file_of_findings_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        data.check(str(tmp_path / "nothing.jsonl"), issues=tmp_path / "issues.jsonl")
    assert list(tmp_path.iterdir()) == []
