"""Canonical JSONL: what is written is what comes back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.data.reading import read
from tests.data.test_formats import KNOWN
from tunekit.data.render import read as read_rows
from tunekit.data.render import write
from tunekit.data.rows import Row
from tunekit.errors import DataError

ROWS: list[Row] = [row for raw, _, _ in KNOWN.values() for row in read(raw)[1]]


def test_every_kind_of_row_comes_back_with_its_new_place(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    write(ROWS, path)
    back = list(read_rows(path))
    assert [row.json_line() for row in back] == [row.json_line() for row in ROWS]
    assert [row.where.line for row in back] == list(range(1, len(ROWS) + 1))
    assert {row.where.file for row in back} == {str(path)}


def test_the_hash_is_that_of_the_bytes_and_the_same_every_time(tmp_path: Path) -> None:
    first = write(ROWS, tmp_path / "a.jsonl")
    second = write(iter(ROWS), tmp_path / "b.jsonl")
    content = (tmp_path / "a.jsonl").read_bytes()
    assert first == second == hashlib.sha256(content).hexdigest()


def test_line_separators_inside_text_do_not_split_a_row(tmp_path: Path) -> None:
    rows = read({"text": "a\u2028b\r\nc\x0bd\x85e"})[1]
    write(rows, tmp_path / "a.jsonl")
    assert [row.digest() for row in read_rows(tmp_path / "a.jsonl")] == [rows[0].digest()]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(ROWS[:1], path)
    before = path.read_bytes()

    def broken() -> object:
        yield ROWS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(broken(), path)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", '{"kind": "text"}', '{"kind": "poem", "text": "a"}']
)
def test_a_file_that_something_else_changed_is_told_with_its_line(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "a.jsonl"
    write(ROWS[:1], path)
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not-canonical"):
        list(read_rows(path))
