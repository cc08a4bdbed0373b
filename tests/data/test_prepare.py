"""From a spec to its rows: what fits the objective, what is held out, what the plan is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.reading import jsonl, prepared
from tunekit.data.issues import Issue, add
from tunekit.data.prepare import prepare
from tunekit.errors import DataError, SpecError
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import DPO, SFT

ASK = {"role": "user", "content": "2+2"}
SAY = {"role": "assistant", "content": "4"}
CHATS = [{"messages": [{**ASK, "content": f"{n}+1"}, SAY]} for n in range(40)]
PAIRS = [{"prompt": f"{n}", "chosen": "b", "rejected": "c"} for n in range(40)]
TEXTS = [{"text": f"text {n}"} for n in range(40)]


def test_rows_of_the_wrong_kind_name_the_objective_that_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "support.jsonl"
    path.write_bytes(jsonl(*PAIRS))
    with pytest.raises(SpecError) as caught:
        prepared(path)
    assert str(caught.value).startswith(
        "objective sft takes conversation, completion or text rows; "
        f"{path} holds preference rows: use objective: dpo"
    )


@pytest.mark.parametrize("rows", [CHATS, TEXTS, [{"prompt": "a", "completion": "b"}]])
def test_dpo_on_rows_without_a_pair_names_sft(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(
        SpecError, match=r"objective dpo takes preference rows; .*: use objective: sft"
    ):
        prepared(rows, objective=DPO())


@pytest.mark.parametrize(
    ("row", "cure"),
    [
        ({"prompt": "a"}, "grpo"),
        ({"prompt": "a", "completion": "b", "label": True}, "kto"),
        (
            {"prompt": "a", "chosen": "b", "rejected": "c"},
            "dpo, ipo, kto, simpo, orpo, cpo or reward",
        ),
    ],
)
def test_every_kind_of_row_has_an_objective(row: dict[str, Any], cure: str) -> None:
    with pytest.raises(SpecError, match=f"objective sft takes .*: use objective: {cure}$"):
        prepared([row])


@pytest.mark.parametrize(
    ("rows", "train_on", "cure"),
    [
        (TEXTS, "assistant", "use 'all', or leave it at 'auto'"),
        (TEXTS, "completion", "use 'all', or leave it at 'auto'"),
        ([{"prompt": "a", "completion": "b"}], "assistant", "use 'completion' or 'all'"),
    ],
)
def test_train_on_that_means_nothing_for_the_rows_is_refused(
    rows: list[dict[str, Any]], train_on: Any, cure: str
) -> None:
    with pytest.raises(SpecError, match=r"objective\.train_on: ") as caught:
        prepared(rows, objective=SFT(train_on=train_on))
    assert cure in str(caught.value)


@pytest.mark.parametrize("train_on", ["auto", "assistant", "completion", "all"])
def test_train_on_that_fits_is_taken(train_on: Any) -> None:
    assert prepared(CHATS, objective=SFT(train_on=train_on)).profile.kind == "conversation"


def test_the_profile_counts_what_the_plan_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(*CHATS))
    ready = prepared(path)
    profile = ready.profile
    assert profile.source == str(path)
    assert (profile.format, profile.kind) == ("conversation", "conversation")
    held = profile.validation_rows
    # A fifth of 40 rows is 8; chance may make it half as many more or fewer.
    assert 4 <= held <= 12
    assert (len(ready.train), len(ready.validation)) == (profile.rows, held) == (40 - held, held)
    assert (
        profile.validation_policy == f"{held} of 40 rows ({held / 40:.0%}) by content hash, seed 42"
    )
    # A turn is 4 tokens for the template and one for at most four characters.
    assert profile.longest == 10
    assert profile.tokens == profile.rows * 10
    assert profile.trained_tokens == profile.rows * 5


def test_the_digest_covers_the_rows_and_their_sides_but_not_where_they_lie(tmp_path: Path) -> None:
    one = prepared(CHATS).profile.digest
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n\n" + jsonl(*CHATS))
    assert prepared(path).profile.digest == one
    assert prepared(CHATS, validation=None).profile.digest != one
    assert prepared(CHATS[1:]).profile.digest != one


def test_a_pair_counts_both_answers_and_the_longer_one_for_length() -> None:
    row = {"prompt": "a" * 40, "chosen": "b" * 400, "rejected": "c" * 4}
    profile = prepared([row], objective="dpo", validation=None).profile
    assert (profile.tokens, profile.trained_tokens, profile.longest) == (121, 101, 110)


@pytest.mark.parametrize(
    ("train_on", "trained"), [("assistant", 11), ("completion", 6), ("all", 38)]
)
def test_trained_tokens_follow_train_on(train_on: Any, trained: int) -> None:
    turns = [
        ASK,
        SAY,
        ASK,
        {**SAY, "content": "x" * 32, "weight": 0},
        ASK,
        {**SAY, "content": "12345678"},
    ]
    profile = prepared(
        [{"messages": turns}], objective=SFT(train_on=train_on), validation=None
    ).profile
    assert profile.trained_tokens == trained


def test_validation_may_be_a_share_or_nothing() -> None:
    assert 5 <= prepared(CHATS, validation=0.25).profile.validation_rows <= 15
    none = prepared(CHATS, validation=None).profile
    assert (none.rows, none.validation_rows) == (40, 0)
    assert none.validation_policy == "none: validation is null"
    assert none.issues == ()


def test_the_seed_of_the_training_decides_the_split() -> None:
    first, second = (
        {row.digest() for row in prepared(CHATS, training={"seed": seed}).validation}
        for seed in (1, 2)
    )
    assert first != second


def test_too_few_rows_to_hold_any_out_are_a_warning() -> None:
    profile = prepared(CHATS[:10]).profile
    assert profile.validation_rows == 0
    assert [(issue.code, issue.severity) for issue in profile.issues] == [
        ("nothing-held-out", "warning")
    ]


def test_a_share_that_gives_no_row_is_an_error() -> None:
    with pytest.raises(SpecError, match="less than one row"):
        prepared(CHATS[:5], validation=0.1)


def test_validation_may_be_a_source_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "valid.jsonl"
    path.write_bytes(jsonl({"prompt": [ASK], "completion": [SAY]}))
    ready = prepared(CHATS, validation=str(path))
    assert (ready.profile.rows, ready.profile.validation_rows) == (40, 1)
    assert ready.profile.validation_policy == f"the 1 row of {path}"
    assert ready.validation[0].where.file == str(path)


def test_held_out_rows_that_are_trained_on_too_stop_the_run_unless_the_spec_lets_them() -> None:
    held = {
        "source": [CHATS[3], {"messages": [{"role": "user", "content": "Something else"}, SAY]}]
    }
    with pytest.raises(DataError) as caught:
        prepared(CHATS, validation=held)
    assert [(issue.code, issue.line) for issue in caught.value.issues] == [("leaked-row", 1)]
    data = {"source": CHATS, "checks": {"leaked-row": "warning", "few-rows": "off"}}
    ready = prepare(FineTune(model="some/model", data=data, validation=held))
    assert [issue.code for issue in ready.profile.issues] == ["leaked-row"]


def test_held_out_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "valid.jsonl"
    path.write_bytes(jsonl(*TEXTS))
    with pytest.raises(SpecError, match="holds text rows, <rows> conversation rows"):
        prepared(CHATS, validation=str(path))


def test_broken_held_out_rows_are_told_with_their_own_file(tmp_path: Path) -> None:
    path = tmp_path / "valid.jsonl"
    path.write_bytes(b"{oops")
    with pytest.raises(DataError) as caught:
        prepared(CHATS, validation=str(path))
    assert [issue.file for issue in caught.value.issues] == [str(path)]


def test_every_finding_is_kept_and_the_plan_names_three_of_a_kind() -> None:
    rows = [*TEXTS, *TEXTS[:9]]
    data = {"source": rows, "checks": {"duplicate-row": "warning", "few-rows": "off"}}
    ready = prepare(FineTune(model="some/model", data=data, validation=None))
    assert [issue.line for issue in ready.issues] == list(range(41, 50))
    assert len(ready.profile.issues) == 4


def test_findings_are_added_to_a_file_once(tmp_path: Path) -> None:
    path = tmp_path / "issues.jsonl"
    issue = Issue(code="too-long", file="train.jsonl", line=4, message="long", fix="shorten it")
    add([], path)
    assert not path.exists()
    add([issue], path)
    add([issue, issue.model_copy(update={"line": 5})], path)
    lines = [Issue.model_validate_json(line) for line in path.read_text().splitlines()]
    assert [found.line for found in lines] == [4, 5]
