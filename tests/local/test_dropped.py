"""Every row that was given is trained on, held out, or written down as dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tunekit import errors

pytestmark = pytest.mark.slow


def _given() -> list[dict[str, object]]:
    rows = chats(24)
    rows[3]["messages"][1]["content"] = "  "
    rows[5]["messages"][0]["content"] = "river " * 400
    rows.append(rows[7])
    return rows


def test_rows_in_are_rows_trained_held_out_and_dropped(tmp_path: Path) -> None:
    data = tk.Data(source=_given(), drop=("empty-answer", "duplicate-row", "no-trained-token"))
    run = tk.run(
        small(tmp_path, data=data, validation=0.2, training={"max_length": 64, "max_steps": 2}),
        progress=False,
    )

    folder = run.folder / "data"
    dropped = [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]
    sent = (folder / "train.jsonl").read_text().splitlines()
    held = (folder / "validation.jsonl").read_text().splitlines()
    late = [row for row in dropped if row["code"] == "no-trained-token"]
    trained = next(int(line.split()[0]) for line in run.log().splitlines() if "trained on" in line)
    assert sorted(row["code"] for row in dropped if row not in late) == [
        "duplicate-row",
        "empty-answer",
    ]
    assert trained == len(sent) - len(late)
    assert trained + len(held) + len(dropped) == 25
    assert all(row["reason"] for row in dropped)


def test_most_rows_too_long_stop_the_run_and_say_how_to_go_on(tmp_path: Path) -> None:
    rows = chats(60)
    for row in rows[:10]:
        row["messages"][1]["content"] = "stone " * 400
    spec = small(tmp_path, data=rows, training={"max_length": 64, "max_steps": 2})

    with pytest.raises(errors.RunFailed, match="too-long") as caught:
        tk.submit(spec).wait(timeout=120)

    assert "drop: [too-long]" in str(caught.value)


def test_rows_that_are_too_long_are_cut_when_the_spec_says_so(tmp_path: Path) -> None:
    rows = chats(12)
    for row in rows[:4]:
        row["messages"][1]["content"] = "stone " * 400
    data = tk.Data(source=rows, checks={"too-long": "warning"})
    run = tk.run(
        small(tmp_path, data=data, training={"max_length": 64, "max_steps": 2}), progress=False
    )

    assert "4 of 12 rows" in run.log()
    assert "too-long" in run.log()


def test_a_run_taken_up_again_lists_a_dropped_row_once(tmp_path: Path) -> None:
    rows = chats(12)
    rows[2]["messages"][0]["content"] = "river " * 400
    data = tk.Data(source=rows, drop=("no-trained-token",))
    run = tk.run(
        small(tmp_path, data=data, training={"max_length": 64, "max_steps": 2}), progress=False
    )

    path = run.folder / "data" / "dropped.jsonl"
    before = path.read_text()
    run.resume().wait(timeout=120)

    assert len(before.splitlines()) == 1
    assert path.read_text() == before
