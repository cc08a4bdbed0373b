"""Every row that was given is trained on, held out, or written down as dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import chats, small, written
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

    rows = chats(12, longest=4)
    rows[2]["messages"][0]["content"] = "river " * 400
    path = written(tmp_path / "train.jsonl", rows)
    wanted = {"max_length": 64, "train_on": "assistant", "drop": ["no-trained-token"]}

    for _ in range(2):
        made = tokenized(
            path, {"objective": "sft", "trainer": {}, "data": wanted}, tiny_tokenizer()
        )
        (line,) = (tmp_path / "dropped.jsonl").read_text().splitlines()
        assert json.loads(line)["line"] == 3
        assert len(made.columns["input_ids"]) == 11
        assert "1 row dropped" in made.notes[1]


def test_rows_that_weigh_more_than_others_are_refused_unless_the_spec_says_so(
    tmp_path: Path,
) -> None:
    from tests.tiny import tiny_tokenizer
    from tunekit.backends.local.rows import tokenized

    rows: list[dict[str, object]] = [{**row, "weight": 1} for row in chats(12, longest=4)]
    rows[4]["weight"] = 0.5
    path = written(tmp_path / "train.jsonl", rows)
    wanted = {"max_length": 512, "train_on": "assistant"}

    with pytest.raises(errors.DataError, match="row-weight") as caught:
        tokenized(path, {"objective": "sft", "trainer": {}, "data": wanted}, tiny_tokenizer())
    assert [(issue.line, "0.5" in issue.message) for issue in caught.value.issues] == [(5, True)]
    (told,) = (tmp_path / "issues.jsonl").read_text().splitlines()
    assert json.loads(told)["code"] == "row-weight"

    let = tokenized(
        path,
        {
            "objective": "sft",
            "trainer": {},
            "data": {**wanted, "checks": {"row-weight": "warning"}},
        },
        tiny_tokenizer(),
    )
    assert len(let.columns["labels"]) == 12
    assert any("row-weight" in note for note in let.notes)
    left = tokenized(
        path,
        {"objective": "sft", "trainer": {}, "data": {**wanted, "drop": ["row-weight"]}},
        tiny_tokenizer(),
    )
    assert len(left.columns["labels"]) == 11


def test_a_key_that_no_template_reads_stands_in_the_log(tmp_path: Path) -> None:
    from tests.tiny import tiny_tokenizer
    from tunekit.backends.local.rows import tokenized

    rows = [{**row, "parallel_tool_calls": False} for row in chats(12, longest=4)]
    path = written(tmp_path / "train.jsonl", rows)
    made = tokenized(
        path,
        {"objective": "sft", "trainer": {}, "data": {"max_length": 512, "train_on": "assistant"}},
        tiny_tokenizer(),
    )
    assert any("12 of 12 rows" in note and "parallel-tool-calls" in note for note in made.notes)


def test_a_finding_of_the_labels_can_be_weighed_and_its_rows_left_out(tmp_path: Path) -> None:
    from tests.tiny import tiny_tokenizer
    from tunekit.backends.local.rows import tokenized

    same = "the order is on its way "
    pairs = [{"prompt": "ask", "chosen": same * 9 + "now", "rejected": same * 9 + "later"}] * 1200
    pairs += [{"prompt": "ask", "chosen": "now", "rejected": "later"}]
    path = written(tmp_path / "train.jsonl", pairs)
    wanted = {"max_length": 60, "train_on": "completion", "checks": {"too-long": "off"}}

    with pytest.raises(errors.DataError, match="more like the 3 above"):
        tokenized(path, {"objective": "dpo", "trainer": {}, "data": wanted}, tiny_tokenizer())
    left = tokenized(
        path,
        {"objective": "dpo", "trainer": {}, "data": {**wanted, "drop": ["identical-when-cut"]}},
        tiny_tokenizer(),
    )
    assert len(left.columns["chosen_ids"]) == 1
    weighed = {"too-long": "off", "identical-when-cut": "warning"}
    let = tokenized(
        path,
        {"objective": "dpo", "trainer": {}, "data": {**wanted, "checks": weighed}},
        tiny_tokenizer(),
    )
    assert len(let.columns["chosen_ids"]) == 1201
