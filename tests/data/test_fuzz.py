"""Whatever the bytes are, reading them ends in rows or in a DataError that says where and how."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.data.reading import issues_of, jsonl, prepared, read
from tunekit.data.issues import Issue
from tunekit.errors import DataError, SpecError

ROWS = jsonl(
    {"messages": [{"role": "user", "content": "2+2 {["}, {"role": "assistant", "content": "é"}]},
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": 'b\\"'}]},
    {"prompt": "a", "chosen": "b", "rejected": "c", "score": 1.5e3},
    {"instruction": "a", "input": None, "output": "c", "history": [["d", "e"]]},
)
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", "")
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(path: Path, content: bytes) -> tuple[Issue, ...]:
    """Give what stops the file; anything raised that is not ours fails the test."""
    path.write_bytes(content)
    try:
        return issues_of(path, validation=None)
    except SpecError as error:
        assert not isinstance(error, DataError)
        return ()


def check(issues: tuple[Issue, ...], content: bytes) -> None:
    most = content.count(b"\n") + content.count(b"\r") + 1
    for issue in issues:
        assert issue.fix
        assert issue.message
        assert 0 <= issue.line <= most
        assert issue.column >= 0


@given(content=some.binary(max_size=400), suffix=some.sampled_from(SUFFIXES))
@QUICK
def test_any_bytes_end_in_rows_or_issues(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    check(outcome(path, content), content)


PIECES = [
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "NaN",
    "1e999",
    "\n",
]
TEXT = some.lists(some.sampled_from([*PIECES, '"messages"', '"role"', '"text"', "x"]), max_size=60)


@given(pieces=TEXT, suffix=some.sampled_from((".jsonl", ".json", ".csv")))
@QUICK
def test_any_order_of_what_json_is_made_of_ends_in_rows_or_issues(
    tmp_path: Path, pieces: list[str], suffix: str
) -> None:
    content = "".join(pieces).encode()
    check(outcome(tmp_path / f"rows{suffix}", content), content)


def mutations(count: int) -> Iterator[bytes]:
    """Give good rows with a few bytes cut, doubled, swapped or changed."""
    dice = random.Random(0)
    for _ in range(count):
        content = bytearray(ROWS)
        for _ in range(dice.randrange(1, 6)):
            at, size = dice.randrange(len(content)), dice.randrange(1, 12)
            match dice.randrange(4):
                case 0:
                    del content[at : at + size]
                case 1:
                    content[at:at] = content[at : at + size]
                case 2:
                    content[at : at + 1] = bytes([dice.randrange(256)])
                case _:
                    content[at:at] = dice.choice(PIECES).encode()
        yield bytes(content)


def test_rows_with_a_few_bytes_changed_end_in_rows_or_issues(tmp_path: Path) -> None:
    for content in mutations(1500):
        check(outcome(tmp_path / "rows.jsonl", content), content)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                [
                    "role",
                    "content",
                    "from",
                    "value",
                    "type",
                    "text",
                    "tool_calls",
                    "function",
                    "name",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KEYS = ["messages", "conversations", "instruction", "output", "prompt", "completion", "text"]
MORE = ["chosen", "rejected", "label", "input", "preferred_output", "non_preferred_output", "tools"]
RAW = some.dictionaries(some.sampled_from([*KEYS, *MORE, "history", "system"]), JSON, max_size=5)


@given(
    raw=RAW, format=some.sampled_from(["auto", "conversation", "alpaca", "preference", "judged"])
)
@QUICK
def test_any_values_under_known_keys_make_a_row_or_an_issue(
    raw: dict[str, Any], format: str
) -> None:
    _, rows, issues = read(raw, wanted=format)
    assert rows or issues
    assert all(issue.fix for issue in issues)


@given(
    texts=some.lists(
        some.tuples(some.text(min_size=1), some.text(min_size=1)), min_size=1, max_size=8
    ),
    pretty=some.booleans(),
)
@QUICK
def test_what_json_can_hold_comes_back_as_it_was(
    tmp_path: Path, texts: list[tuple[str, str]], pretty: bool
) -> None:
    rows = [{"prompt": a, "completion": f"x{b}"} for a, b in texts]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows, indent=1) if pretty else jsonl(*rows).decode(), "utf-8")
    ready = prepared(path, validation=None)
    given = [(row.prompt, row.completion) for row in ready.train]  # type: ignore[union-attr]
    assert given == [(a, f"x{b}") for a, b in texts]


@pytest.mark.parametrize("depth", [63, 64, 65, 1000, 200_000])
def test_no_depth_exhausts_the_stack(tmp_path: Path, depth: int) -> None:
    content = b'{"text": "a", "x": ' + b"[" * depth + b"]" * depth + b"}"
    codes = [issue.code for issue in outcome(tmp_path / "rows.jsonl", content)]
    assert codes == (["ignored-keys"] if depth < 64 else ["too-deep"])
