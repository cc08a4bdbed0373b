"""Files that look odd and are sound: nothing is said of them, and every row is read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.data.reading import GOOD, jsonl, prepared

LONG = {"prompt": "a " * 500_000, "completion": "b"}
BRACKETS = {"prompt": "[" * 500 + '"{' * 500 + "\\", "completion": "x"}

ODD: dict[str, tuple[str, bytes, int]] = {
    "byte order mark": ("a.jsonl", b"\xef\xbb\xbf" + GOOD * 2, 2),
    "lines end in crlf": ("a.jsonl", (GOOD * 2).replace(b"\n", b"\r\n"), 2),
    "no end of the last line": ("a.jsonl", (GOOD * 2).rstrip(b"\n"), 2),
    "blank lines": ("a.jsonl", b"\n\n" + GOOD + b" \t \n" + GOOD + b"\n", 2),
    "indented lines": ("a.jsonl", b"  " + GOOD + b"\t" + GOOD, 2),
    "a list under the name of lines": ("a.jsonl", b"[" + GOOD + b"," + GOOD + b"]", 2),
    "lines under the name of a list": ("a.json", GOOD * 2, 2),
    "a mark before a list": ("a.json", b"\xef\xbb\xbf\r\n[\r\n" + GOOD + b"]\r\n", 1),
    "one object": ("a.json", GOOD, 1),
    "no suffix": ("rows", GOOD * 2, 2),
    "an unknown suffix": ("rows.data", GOOD * 2, 2),
    "an emoji as two escapes": ("a.jsonl", GOOD.replace(b"2+2", b"\\ud83d\\ude00"), 1),
    "an emoji as bytes": ("a.jsonl", GOOD.replace(b"2+2", "😀".encode()), 1),
    "a line separator within text": ("a.jsonl", GOOD.replace(b"2+2", "a\u2028b\x85c".encode()), 1),
    "escaped slashes": ("a.jsonl", GOOD.replace(b"2+2", b"1\\/2"), 1),
    "words of json within text": ("a.jsonl", GOOD.replace(b"2+2", b"NaN null {} 1e999"), 1),
    "keys in another order": ("a.jsonl", GOOD + b'{"completion": "4", "prompt": "2+2"}\n', 2),
    "null in a column that is not used": ("a.jsonl", GOOD.replace(b"}", b', "label": null}'), 1),
    "brackets within text": ("a.jsonl", jsonl(BRACKETS), 1),
    "a row of a megabyte": ("a.jsonl", jsonl(LONG), 1),
    "a line break within a cell": ("a.csv", b'prompt,completion\n"a\nb",c\n', 1),
    "a mark before a header": ("a.csv", b"\xef\xbb\xbfprompt,completion\r\na,b\r\n", 1),
    "tabs between cells": ("a.tsv", b"prompt\tcompletion\na, b\tc\n", 1),
    "doubled quotes": ("a.csv", b'prompt,completion\n"say ""hi""",hi\n', 1),
    "packed": ("a.jsonl.gz", gzip.compress(GOOD * 2), 2),
}


@pytest.mark.parametrize(("name", "content", "rows"), ODD.values(), ids=ODD)
def test_nothing_is_said_of_an_odd_file_that_is_sound(
    tmp_path: Path, name: str, content: bytes, rows: int
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    ready = prepared(path, validation=None)
    assert len(ready.train) == rows
    assert ready.profile.issues == ()
