"""Packed files are read like the others, and cut ones and bombs are told."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.data.reading import issues_of, jsonl, prepared

ROWS = [{"prompt": f"{n} + 1?", "completion": str(n + 1)} for n in range(30)]
CSV = "prompt,completion\n" + "".join(f"{n} + 1?,{n + 1}\n" for n in range(30))
LIST = b"[" + b",".join(jsonl(row).strip() for row in ROWS) + b"]"


def _zstd(content: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor().compress(content)


@pytest.mark.parametrize("pack", [gzip.compress, _zstd], ids=["gz", "zst"])
@pytest.mark.parametrize(
    ("name", "content"),
    [("rows.jsonl", jsonl(*ROWS)), ("rows.json", LIST), ("rows.csv", CSV.encode())],
)
def test_a_packed_file_gives_the_rows_that_were_packed(
    tmp_path: Path, name: str, content: bytes, pack: object
) -> None:
    plain = tmp_path / name
    plain.write_bytes(content)
    packed = tmp_path / f"{name}.{'zst' if pack is _zstd else 'gz'}"
    packed.write_bytes(pack(content))  # type: ignore[operator]

    one, other = prepared(plain, validation=None), prepared(packed, validation=None)

    assert [row.digest() for row in one.train] == [row.digest() for row in other.train]
    assert len(other.train) == 30
    assert [row.where.line for row in one.train] == [row.where.line for row in other.train]


def test_a_folder_may_hold_packed_and_plain_shards(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(*ROWS[:10]))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(jsonl(*ROWS[10:])))

    assert len(prepared(tmp_path, validation=None).train) == 30


def test_a_packed_file_that_was_cut_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    whole = gzip.compress(jsonl(*ROWS * 50))
    path.write_bytes(whole[: len(whole) // 2])

    (issue,) = issues_of(path)

    assert issue.code == "damaged-archive"
    assert "cut off" in issue.message


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(120):
            file.write(b" " * 1024**2)

    codes = [issue.code for issue in issues_of(path)]

    assert "damaged-archive" in codes


def test_a_fault_in_a_packed_file_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(*ROWS[:4]) + b'{"prompt": \n'))

    (issue,) = issues_of(path)

    assert (issue.code, issue.line) == ("truncated-json", 5)
