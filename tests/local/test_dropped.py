"""Every row that was given is trained on, held out, or written down as dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tunekit import errors

pytestmark = pytest.mark.slow


def _said(run: tk.Run) -> list[str]:
    return [event.message for event in run.events() if event.kind == "log"]


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
    trained = next(int(line.split()[0]) for line in _said(run) if "trained on" in line)
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
    rows = chats(12, longest=4)
    for row in rows[:4]:
        row["messages"][1]["content"] = "stone " * 400
    data = tk.Data(source=rows, checks={"too-long": "warning"})
    run = tk.run(
        small(tmp_path, data=data, training={"max_length": 128, "max_steps": 2}), progress=False
    )

    assert any("4 of 12 rows" in line and "too-long" in line for line in _said(run))


def test_rows_tokenised_again_list_a_dropped_row_once(tmp_path: Path) -> None:
    from tests.tiny import tiny_tokenizer
    from tunekit.backends.local.rows import tokenized
    from tunekit.data import render
    from tunekit.data.recognise import recognise
    from tunekit.data.rows import Where

    rows = chats(12, longest=4)
    rows[2]["messages"][0]["content"] = "river " * 400
    found = recognise(((row, Where(file="f", line=n)) for n, row in enumerate(rows, 1)), []).rows
    path = tmp_path / "train.jsonl"
    render.write(found, path)
    wanted = {"max_length": 64, "train_on": "assistant", "drop": ["no-trained-token"]}

    for _ in range(2):
        made = tokenized(path, {"data": wanted}, tiny_tokenizer())
        (line,) = (tmp_path / "dropped.jsonl").read_text().splitlines()
        assert json.loads(line)["line"] == 3
        assert len(made.columns["input_ids"]) == 11
        assert "1 row dropped" in made.notes[1]
