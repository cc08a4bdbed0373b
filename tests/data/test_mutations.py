"""Fifty thousand damaged copies of good files: rows or findings, and nothing else."""

from __future__ import annotations

import gzip
import json
import random
import resource
from pathlib import Path

import pytest

from tests.data.reading import jsonl
from tunekit import data
from tunekit.errors import TunekitError

CALL = {"type": "function", "function": {"name": "get", "arguments": '{"city": "Bonn"}'}}
TOOLS = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}]
CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"Ask {n} é 🙂"},
            {"role": "assistant", "content": "A"},
        ]
    }
    for n in range(3)
] + [
    {
        "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [CALL]}],
        "tools": TOOLS,
    }
]
PAIRS = [{"prompt": f"{n}", "chosen": "a", "rejected": "b"} for n in range(3)]
FILES = {
    "chats.jsonl": jsonl(*CHATS),
    "pairs.jsonl": jsonl(*PAIRS),
    "list.json": json.dumps(CHATS, indent=1).encode(),
    "table.csv": b'prompt,completion\n"a, b",c\nd,"e\nf"\n',
    "packed.jsonl.gz": gzip.compress(jsonl(*CHATS)),
}
BITS = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0"]
BITS += [b"null", b"1e999", b"NaN", b"-", b"\\ud800", b"\xef\xbb\xbf", b"true", b"0" * 500]


def damaged(content: bytes, pick: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(pick.randint(1, 4)):
        at, width = pick.randrange(len(made) + 1), pick.randint(1, 12)
        kind = pick.randrange(4)
        if kind == 0:
            made[at : at + width] = b""
        elif kind == 1:
            made[at:at] = pick.choice(BITS)
        elif kind == 2:
            made[at : at + 1] = bytes([pick.randrange(256)])
        else:
            other = pick.randrange(len(made) + 1)
            made[at:at] = made[other : other + 5 * width]
        if not made:
            return b""
    return bytes(made)


def survive(folder: Path, count: int, *, seed: int) -> int:
    """Check so many damaged files; gives how many still hold rows."""
    pick, readable = random.Random(seed), 0
    for _ in range(count):
        name, content = pick.choice(list(FILES.items()))
        path = folder / name
        path.write_bytes(damaged(content, pick))
        try:
            report = data.check(str(path))
        except TunekitError:
            continue
        assert all(issue.fix and issue.message for issue in report.issues)
        readable += bool(report.rows)
    return readable


def test_the_good_files_are_good(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
        assert data.check(str(tmp_path / name)).ok


def test_a_thousand_damaged_files_end_in_rows_or_findings(tmp_path: Path) -> None:
    assert 100 < survive(tmp_path, 1000, seed=1) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("count", [10_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_damaged_files_do_no_harm_and_take_no_memory(tmp_path: Path, count: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    survive(tmp_path, count, seed=2)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 300, f"{grown:.0f} MB"
