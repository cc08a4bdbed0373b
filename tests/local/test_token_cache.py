"""Tokenised rows are found again by what they were made of, and by nothing less."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.local.specs import chats, written
from tests.tiny import tiny_tokenizer
from tunekit.backends.local import token_cache
from tunekit.backends.local.rows import tokenized
from tunekit.data.samples import samples


@pytest.fixture(autouse=True)
def few_rows_are_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(token_cache, "LEAST", 2)
    monkeypatch.setenv("TUNEKIT_HOME", str(tmp_path / "home"))


def made(path: Path, tokenizer: Any = None, **data: Any) -> dict[str, list[Any]]:
    wanted = {"max_length": 64, "train_on": "assistant", "checks": {"too-long": "warning"}, **data}
    request = {"objective": "sft", "trainer": {}, "data": wanted}
    return tokenized(path, request, tokenizer or tiny_tokenizer()).columns


def files() -> list[Path]:
    return sorted(token_cache.folder().glob("*"))


def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep how many rows are tokenised each time."""
    counts: list[int] = []

    def counting(rows: Any, *given: Any, **named: Any) -> Any:
        counts.append(len(rows))
        return samples(rows, *given, **named)

    monkeypatch.setattr("tunekit.backends.local.rows.samples", counting)
    return counts


def test_the_second_run_reads_what_the_first_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = chats(9, longest=4)
    rows[4]["messages"][1]["content"] = "stone " * 100
    path = written(tmp_path / "a" / "train.jsonl", rows)
    other = written(tmp_path / "b" / "train.jsonl", rows)
    counts = count(monkeypatch)
    first = made(path)
    assert made(other) == first
    assert counts == [9]
    issues = [each.with_name("issues.jsonl").read_text() for each in (path, other)]
    assert "too-long" in issues[0]
    assert issues[0].replace("/a/", "/b/") == issues[1]


def test_whatever_makes_other_tokens_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = chats(9, longest=4)
    path = written(tmp_path / "train.jsonl", rows)
    counts = count(monkeypatch)
    made(path)
    made(path, max_length=65)
    made(path, train_on="all")
    template = tiny_tokenizer()
    template.chat_template += "{# another #}"
    made(path, template)
    longer = tiny_tokenizer()
    longer.add_tokens(["stone"])
    made(path, longer)
    monkeypatch.setattr(token_cache, "version", lambda name: "another")
    made(path)
    monkeypatch.setattr(token_cache, "_code", lambda: "another")
    made(path)
    rows[3]["messages"][0]["content"] += "!"
    made(written(path, rows))
    assert counts == [9] * 8
    assert len(files()) == 8


def test_a_template_that_writes_the_date_is_asked_again_the_next_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "train.jsonl", chats(9, longest=4))
    counts = count(monkeypatch)
    dated = tiny_tokenizer()
    dated.chat_template += "{# strftime_now #}"
    for tokenizer in (dated, tiny_tokenizer()):
        for day in (1, 1, 2):
            monkeypatch.setattr(token_cache, "date", a_day(day))
            made(path, tokenizer)
    assert counts == [9] * 3


def a_day(day: int) -> Any:
    class Day(date):
        @classmethod
        def today(cls) -> date:
            return date(2026, 5, day)

    return Day


def test_what_cannot_be_read_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "train.jsonl", chats(9, longest=4))
    counts = count(monkeypatch)
    first = made(path)
    (file,) = files()
    for content in (b"", file.read_bytes()[:-7], b"nonsense" * 9):
        file.write_bytes(content)
        assert made(path) == first
    assert counts == [9] * 4


def test_few_rows_and_pairs_are_not_kept(tmp_path: Path) -> None:
    made(written(tmp_path / "train.jsonl", chats(1)))
    pair = {
        "prompt": [{"role": "user", "content": "which river"}],
        "chosen": [{"role": "assistant", "content": "the long river"}],
        "rejected": [{"role": "assistant", "content": "the other one"}],
    }
    path = written(tmp_path / "pairs.jsonl", [pair, {**pair}, {**pair}])
    wanted = {"max_length": 64, "train_on": "completion"}
    tokenized(path, {"objective": "dpo", "trainer": {}, "data": wanted}, tiny_tokenizer())
    assert not files()


def test_what_was_not_used_for_longest_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [written(tmp_path / f"{n}.jsonl", chats(9 + n, longest=4)) for n in range(3)]
    made(paths[0])
    (first,) = files()
    made(paths[1])
    (second,) = set(files()) - {first}
    for age, file in ((300, first), (200, second)):
        os.utime(file, (file.stat().st_mtime - age,) * 2)
    # It is used, and so not the oldest any more.
    made(paths[0])
    monkeypatch.setattr(token_cache, "MOST_BYTES", int(2.5 * first.stat().st_size))
    made(paths[2])
    assert first in files()
    assert second not in files()
    assert len(files()) == 2
