"""A report names everything that is wrong, in one pass, and raises nothing for bad rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.data.reading import jsonl
from tests.tiny import tiny_tokenizer
from tunekit import data
from tunekit.errors import DataError, SpecError
from tunekit.spec.finetune import Data, Severity

ROWS = [{"prompt": f"How many days are {n} weeks?", "completion": str(7 * n)} for n in range(80)]


def test_a_sound_file_is_counted_and_hashed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS))

    report = data.check(str(path))

    assert (report.ok, report.rows, report.kind, report.counts) == (True, 80, "completion", {})
    assert report.sha256 == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    assert "nothing is wrong" in str(report)


def test_all_findings_are_counted_twenty_shown_and_every_one_written(tmp_path: Path) -> None:
    path, issues = tmp_path / "rows.jsonl", tmp_path / "issues.jsonl"
    path.write_bytes(jsonl(*ROWS) + b"{oops\n" * 1500 + jsonl(ROWS[3]))

    report = data.check(str(path), issues=issues)

    written = [json.loads(line) for line in issues.read_text().splitlines()]
    assert not report.ok
    assert report.counts == {"bad-json": 1500, "duplicate-row": 1}
    assert len(report.issues) == 20
    assert len(written) == 1501
    assert all(issue["file"] == str(path) and issue["line"] and issue["fix"] for issue in written)
    assert "... and 1,481 more" in str(report)


def test_the_form_alone_can_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS, ROWS[0]))

    assert data.check(str(path), quality=False).counts == {}
    assert data.check(str(path)).counts == {"duplicate-row": 1}


def test_held_out_rows_that_are_trained_on_are_found(tmp_path: Path) -> None:
    train, held = tmp_path / "train.jsonl", tmp_path / "held.jsonl"
    train.write_bytes(jsonl(*ROWS))
    held.write_bytes(jsonl({"prompt": "What is new?", "completion": "This"}, ROWS[5]))

    report = data.check(str(train), validation=str(held))

    assert report.counts == {"leaked-row": 1}
    assert (report.issues[0].file, report.issues[0].line) == (str(held), 2)


def test_what_cannot_be_opened_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        data.check(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(SpecError, match="did you mean 'duplicate-row'"):
        data.check(Data(source=ROWS, checks={"duplicate-rows": "off"}))


def test_a_file_of_findings_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        data.check(str(tmp_path / "nothing.jsonl"), issues=tmp_path / "issues.jsonl")
    assert list(tmp_path.iterdir()) == []


CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"the order {n}"},
            {"role": "assistant", "content": "refund " * (40 if n < 3 else 2)},
        ]
    }
    for n in range(60)
]
QUIET: dict[str, Severity] = {"near-duplicate": "off"}


def test_rows_that_the_model_would_get_cut_are_counted_against_all_rows(tmp_path: Path) -> None:
    source = Data(source=CHATS, checks=QUIET)

    report = data.check(source, model=tiny_tokenizer(), max_length=64)

    assert (report.counts, report.severities) == ({"too-long": 3}, {"too-long": "warning"})
    assert [issue.line for issue in report.issues] == [1, 2, 3]
    # Three of 60 are more than 1 % and less than 10 %; seven are more than 10 %.
    many = [*CHATS[3:], *(CHATS[n % 3] for n in range(7))]
    checks: dict[str, Severity] = {**QUIET, "duplicate-row": "off"}
    stopped = data.check(Data(source=many, checks=checks), model=tiny_tokenizer(), max_length=64)
    assert stopped.severities == {"too-long": "error"}


def test_labels_are_looked_at_where_a_model_is_named(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace(" + '<|im_end|>\\n'", "")
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(tmp_path / "model")
    no_room = {"messages": [{**CHATS[9]["messages"][0], "content": "the order " * 90}]}
    no_room["messages"].append({"role": "assistant", "content": "refund"})

    report = data.check(
        Data(source=[*CHATS, no_room], checks=QUIET), model=str(tmp_path / "model"), max_length=200
    )

    assert report.counts["no-trained-token"] == 1
    assert report.severities["no-trained-token"] == "error"
    assert not report.ok


def test_a_pair_that_differs_only_behind_max_length_stops_a_run() -> None:
    same = "the order is on its way "
    pair = {"prompt": "ask", "chosen": same * 9 + "now", "rejected": same * 9 + "later"}

    report = data.check([pair], model=tiny_tokenizer(), max_length=60)

    assert report.severities["identical-when-cut"] == "error"
    assert "identical-when-cut" not in data.check([pair], model=tiny_tokenizer()).counts


def test_a_row_that_the_template_refuses_is_told_and_the_others_are_still_looked_at() -> None:
    tokenizer = tiny_tokenizer()
    refuse = "{% if messages[0].content == 'no' %}{{ raise_exception('not this') }}{% endif %}"
    tokenizer.chat_template = refuse + tokenizer.chat_template
    no = {"messages": [{"role": "user", "content": "no"}, CHATS[0]["messages"][1]]}

    report = data.check(Data(source=[CHATS[1], no], checks=QUIET), model=tokenizer, max_length=64)

    assert report.counts["template-refused"] == 1
    assert report.counts["too-long"] == 1
    assert not report.ok


def test_tokens_cannot_be_counted_without_a_model() -> None:
    with pytest.raises(SpecError, match="say whose"):
        data.check(ROWS, max_length=64)
    with pytest.raises(SpecError, match="leave out model"):
        data.check(ROWS, model=tiny_tokenizer(), quality=False)


@pytest.mark.slow
def test_more_findings_of_one_code_than_are_kept_are_all_written(tmp_path: Path) -> None:
    path, issues = tmp_path / "rows.jsonl", tmp_path / "issues.jsonl"
    path.write_bytes(jsonl(ROWS[0]) * 12_001)

    report = data.check(str(path), issues=issues)

    written = [json.loads(line) for line in issues.read_text().splitlines()]
    assert report.counts["duplicate-row"] == 12_000
    assert [issue["line"] for issue in written] == list(range(2, 12_002))
    assert {issue["severity"] for issue in written} == {"error"}
