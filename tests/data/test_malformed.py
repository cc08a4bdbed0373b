"""Files that are broken: each is told by its code, its line and a way to mend it."""

from __future__ import annotations

import bz2
import json
import os
from pathlib import Path

import pytest

from tests.data.reading import GOOD, issues_of, jsonl, prepared
from tunekit.data import json_rows, lines
from tunekit.errors import DataError

PRETTY = json.dumps([{"prompt": "a", "completion": "b"}] * 2, indent=1).encode()

CASES: dict[str, tuple[str, bytes, str, int]] = {
    "cut in a string": ("a.jsonl", GOOD + GOOD[:30], "truncated-json", 2),
    "cut after a key": ("a.jsonl", GOOD + b'{"prompt":', "truncated-json", 2),
    "cut after a value": ("a.jsonl", GOOD * 2 + b'{"prompt": "a"', "truncated-json", 3),
    "single quotes": ("a.jsonl", GOOD + b"{'prompt': 'a'}\n", "bad-json", 2),
    "python none": ("a.jsonl", b'{"prompt": None}\n', "bad-json", 1),
    "python true": ("a.jsonl", GOOD + b'{"prompt": "a", "label": True}\n', "bad-json", 2),
    "comment": ("a.jsonl", GOOD + b"// done\n", "bad-json", 2),
    "trailing comma": ("a.jsonl", GOOD + b'{"prompt": "a",}\n', "bad-json", 2),
    "two rows on a line": ("a.jsonl", GOOD.strip() + GOOD, "bad-json", 1),
    "comma after a row": ("a.jsonl", GOOD.strip() + b",\n" + GOOD, "bad-json", 1),
    "bare line break": ("a.jsonl", GOOD + b'{"prompt": "a\tb"}\n', "bad-json", 2),
    "bad escape": ("a.jsonl", GOOD + b'{"prompt": "C:\\path"}\n', "bad-json", 2),
    "lines end in cr": ("a.jsonl", (GOOD * 3).replace(b"\n", b"\r"), "bad-json", 1),
    "a list on a line": ("a.jsonl", GOOD + b'["a", "b"]\n', "not-an-object", 2),
    "a number on a line": ("a.jsonl", GOOD + b"42\n", "not-an-object", 2),
    "null on a line": ("a.jsonl", GOOD + b"null\n", "not-an-object", 2),
    "key twice": ("a.jsonl", GOOD + b'{"prompt": "a", "prompt": "b"}\n', "duplicate-key", 2),
    "nan": ("a.jsonl", GOOD + b'{"prompt": "a", "score": NaN}\n', "nan-or-infinity", 2),
    "infinity": ("a.jsonl", GOOD + b'{"prompt": "a", "score": -Infinity}\n', "nan-or-infinity", 2),
    "float overflow": ("a.jsonl", GOOD + b'{"prompt": "a", "n": 1e999}\n', "nan-or-infinity", 2),
    "long fraction": ("a.jsonl", b'{"n": 0.' + b"9" * 5000 + b"}\n", "huge-number", 1),
    "long integer": ("a.jsonl", b'{"prompt": "a", "n": ' + b"9" * 5000 + b"}\n", "huge-number", 1),
    "deep list": ("a.jsonl", GOOD + b'{"prompt": ' + b"[" * 100_000, "too-deep", 2),
    "deep object": ("a.jsonl", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too-deep", 1),
    "raw nul": ("a.jsonl", GOOD + b'{"prompt": "a\0b"}\n', "nul-byte", 2),
    "latin-1": ("a.jsonl", GOOD + '{"prompt": "café"}\n'.encode("latin-1"), "bad-utf8", 2),
    "utf-16": ("a.jsonl", GOOD.decode().encode("utf-16"), "bad-utf8", 0),
    "utf-16 without a mark": ("a.jsonl", GOOD.decode().encode("utf-16-le"), "bad-utf8", 0),
    "surrogate bytes": ("a.jsonl", GOOD + b'{"prompt": "\xed\xa0\x80"}\n', "bad-utf8", 2),
    "cut character": ("a.jsonl", GOOD + b'{"prompt": "\xe2\x82', "bad-utf8", 2),
    "half an emoji": ("a.jsonl", GOOD + GOOD.replace(b"2+2", b"\\ud83d"), "lone-surrogate", 2),
    "empty": ("a.jsonl", b"", "empty-file", 0),
    "blank": ("a.jsonl", b"\n  \n\t\n", "empty-file", 0),
    "only a byte order mark": ("a.jsonl", b"\xef\xbb\xbf", "empty-file", 0),
    "bzip2": ("a.jsonl", bz2.compress(GOOD), "compressed", 0),
    "spreadsheet": ("a.csv", b"PK\x03\x04" + bytes(100), "compressed", 0),
    "row over many lines": (
        "a.jsonl",
        b'{\n "prompt": "a",\n "completion": "b"\n}',
        "pretty-printed",
        1,
    ),
    "rows inside an object": ("a.json", b'{\n "data": ' + PRETTY + b"\n}", "one-object", 1),
    "list without an end": ("a.json", PRETTY.rstrip(b"]"), "truncated-json", 9),
    "list cut in a row": ("a.json", PRETTY[:60], "truncated-json", 7),
    "list without commas": ("a.json", b"[" + GOOD + GOOD + b"]", "bad-json", 2),
    "list with a comma too many": ("a.json", b"[" + GOOD + b",\n]", "bad-json", 3),
    "list with more behind it": ("a.json", PRETTY + b"\n{}", "bad-json", 11),
    "list of texts": ("a.json", b'[\n "a",\n "b"]', "not-an-object", 2),
    "list with a key twice": ("a.json", b"[" + GOOD + b',\n{"a": 1, "a": 2}]', "duplicate-key", 3),
    "list too deep": ("a.json", b"[" * 100_000, "too-deep", 1),
    "list not in utf-8": ("a.json", b'[{"prompt":\n"\xe9"}]', "bad-utf8", 2),
    "empty list": ("a.json", b"[]", "empty-file", 0),
    "ragged": ("a.csv", b"prompt,completion\na,b\na,b,c\n", "ragged-row", 3),
    "ragged after a long field": (
        "a.csv",
        b'prompt,completion\n"a\nb",c\nd\n',
        "ragged-row",
        4,
    ),
    "open quote": ("a.csv", b'prompt,completion\na,b\n"a,b\nc,d\n', "bad-csv", 3),
    "semicolons": ("a.csv", b"prompt;completion\na;b\n", "bad-csv", 1),
    "column twice": ("a.csv", b"prompt,prompt\na,b\n", "duplicate-key", 1),
    "header alone": ("a.csv", b"prompt,completion\n", "empty-file", 0),
    "csv not in utf-8": ("a.csv", b"prompt,completion\na,b\ncaf\xe9,b\n", "bad-utf8", 3),
    "json in a cell": ("a.csv", b'messages\n"[{""role"":"\n', "truncated-json", 2),
    "not parquet": ("a.parquet", b"hello world, this is text", "bad-parquet", 0),
    "cut parquet": ("a.parquet", b"PAR1" + bytes(40), "bad-parquet", 0),
    "empty parquet": ("a.parquet", b"", "empty-file", 0),
    "prose": ("notes.txt", b"Once upon a time\n", "unknown-file", 0),
}


@pytest.mark.parametrize(("name", "content", "code", "line"), CASES.values(), ids=CASES)
def test_a_malformed_file_is_told_by_code_line_and_cure(
    tmp_path: Path, name: str, content: bytes, code: str, line: int
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    first = issues_of(path)[0]
    assert (first.code, first.line, first.file) == (code, line, str(path))
    assert first.message
    assert first.fix
    assert first.severity == "error"


@pytest.mark.parametrize(
    ("content", "column"),
    [
        (b'{"prompt": "a", completion: 1}\n', 17),
        (b'{"prompt": "caf\xe9"}\n', 16),
        (b'{"prompt": "a\0"}\n', 14),
    ],
)
def test_the_column_of_a_fault_counts_from_one(tmp_path: Path, content: bytes, column: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + content)
    assert [issue.column for issue in issues_of(path)] == [column]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"{'a': 1}\n", "double quotes"),
        (b'{"a": None}\n', "null"),
        (b'{"a": 1,}\n', "comma"),
        ('{"a": "naïve café"}\n'.encode("cp1252"), "iconv -f WINDOWS-1252"),
        ('{"a": 1}\n'.encode("utf-16"), "iconv -f UTF-16"),
        (GOOD.replace(b"\n", b"\r") * 2, "CR alone"),
        (b'{\n "a": 1\n}\n', "jq -c ."),
    ],
)
def test_the_fix_names_the_likely_cause(tmp_path: Path, content: bytes, hint: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    assert hint in issues_of(path)[0].fix


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD * 2,
        (GOOD * 2).replace(b"\n", b"\r\n"),
        (GOOD * 2).rstrip(b"\n"),
        b"\n\n" + GOOD + b"   \n" + GOOD + b"\n\n",
        b"[" + GOOD + b"," + GOOD + b"]",
        b"\xef\xbb\xbf\r\n[\r\n" + GOOD + b",\r\n" + GOOD + b"]\r\n",
        (GOOD * 2).replace(b'"completion"', b'"completion" '),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson", "rows.data"])
def test_marks_line_ends_and_blank_lines_do_no_harm(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    ready = prepared(path, validation=None)
    assert [row.digest() for row in ready.train] == [ready.train[0].digest()] * 2
    assert ready.profile.issues == ()


def test_brackets_inside_text_are_not_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl({"prompt": "[" * 500 + '"{' * 500 + "\\", "completion": "x"}))
    assert prepared(path, validation=None).profile.rows == 1


def test_every_broken_line_is_told_and_the_text_shows_twenty(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{oops\n" * 25)
    with pytest.raises(DataError) as caught:
        prepared(path)
    assert [issue.line for issue in caught.value.issues] == list(range(1, 26))
    assert "25 errors in the data" in str(caught.value)
    assert "... and 5 more" in str(caught.value)


def test_reading_stops_after_a_thousand_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{oops\n" * 5000)
    assert len(issues_of(path)) == 1000


def test_a_line_beyond_the_limit_is_told_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b'{"prompt": "' + b"a" * 1000 + b'"}\n' + b"{oops\n")
    assert [(issue.code, issue.line) for issue in issues_of(path)] == [
        ("huge-line", 2),
        ("bad-json", 3),
    ]


def test_a_list_too_large_to_hold_says_how_to_make_lines_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_rows, "LIST_LIMIT", 50)
    path = tmp_path / "a.json"
    path.write_bytes(PRETTY)
    assert [issue.code for issue in issues_of(path)] == ["too-large"]
    assert "jq -c '.[]'" in issues_of(path)[0].fix


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)
    assert [issue.code for issue in issues_of(path)] == ["not-a-file"]


def test_a_parquet_file_that_claims_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    from pyarrow import parquet

    from tunekit.data import tables

    path = tmp_path / "bomb.parquet"
    parquet.write_table(pyarrow.table({"text": ["a"] * 10_000}), path)
    monkeypatch.setattr(tables, "VALUE_LIMIT", 9_999)
    assert [issue.code for issue in issues_of(path)] == ["too-large"]
