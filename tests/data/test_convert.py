"""Rows go to any form and come back, and what a form cannot hold is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.reading import jsonl, read
from tunekit.data.converting import convert, losses
from tunekit.data.issues import Fault
from tunekit.data.native import TARGETS
from tunekit.data.rows import (
    Completion,
    Conversation,
    Judged,
    Message,
    Preference,
    Row,
    Text,
    Where,
    said_weight,
)
from tunekit.errors import DataError, SpecError
from tunekit.testing.providers import fireworks_rows

HERE = Where(file="rows", line=1)
CALL = {"type": "function", "function": {"name": "get", "arguments": '{"city": "Bonn"}'}}
TOOLS = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}]

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    str.strip
)
asks = words.map(lambda text: Message(role="user", content=text))
says = words.map(lambda text: Message(role="assistant", content=text))
chats = st.lists(st.tuples(asks, says), min_size=1, max_size=3).map(
    lambda pairs: tuple(turn for pair in pairs for turn in pair)
)


rows = st.one_of(
    chats.map(lambda turns: Conversation(messages=turns, where=HERE)),
    st.builds(Completion, prompt=words, completion=words, where=st.just(HERE)),
    st.builds(Text, text=words, where=st.just(HERE)),
    st.builds(
        Preference,
        prompt=asks.map(lambda turn: (turn,)),
        chosen=says.map(lambda turn: (turn,)),
        rejected=says.map(lambda turn: (turn,)),
        where=st.just(HERE),
    ).filter(lambda row: row.chosen != row.rejected),
    st.builds(
        Judged,
        prompt=asks.map(lambda turn: (turn,)),
        completion=says.map(lambda turn: (turn,)),
        label=st.booleans(),
        where=st.just(HERE),
    ),
)


@given(row=rows)
@settings(max_examples=150, deadline=None)
def test_what_trl_is_given_reads_back_as_the_same_row(row: Row) -> None:
    _, (back,), issues = read(json.loads(json.dumps(TARGETS["trl"](row))))
    assert issues == []
    assert back.digest() == row.digest()
    assert list(losses(row, TARGETS["trl"](row), "trl")) == []


@given(row=rows, target=st.sampled_from(sorted(TARGETS)))
@settings(max_examples=200, deadline=None)
def test_a_row_is_held_exactly_or_its_loss_is_told(row: Row, target: str) -> None:
    try:
        native = TARGETS[target](row)
    except Fault as fault:
        assert fault.code == "not-expressible"
        return
    told = list(losses(row, native, target))
    _, back, _ = read(json.loads(json.dumps(native)))
    same = bool(back) and back[0].digest() == row.digest()
    assert same != bool(told)


def _chat(**answer: Any) -> Conversation:
    turns = (Message(role="user", content="Weather?"), Message(role="assistant", **answer))
    return Conversation(messages=turns, tools=TOOLS, where=HERE)


@pytest.mark.parametrize(
    ("target", "key"),
    [("together", "reasoning"), ("fireworks", "reasoning_content"), ("trl", "reasoning")],
)
def test_reasoning_stands_beside_the_content_under_the_services_own_key(
    target: str, key: str
) -> None:
    native = TARGETS[target](_chat(content="Rain.", reasoning="It is November."))
    assert native["messages"][1] == {
        "role": "assistant",
        "content": "Rain.",
        key: "It is November.",
    }


def test_openai_has_no_reasoning_and_that_is_told() -> None:
    row = _chat(content="Rain.", reasoning="It is November.")
    (issue,) = losses(row, TARGETS["openai"](row), "openai")
    assert "messages[1].reasoning" in issue.message


def test_arguments_are_text_on_the_wire_and_an_object_for_templates() -> None:
    row = _chat(tool_calls=[CALL])
    wire = TARGETS["together"](row)["messages"][1]["tool_calls"][0]["function"]["arguments"]
    local = TARGETS["trl"](row)["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert (json.loads(wire), local) == ({"city": "Bonn"}, {"city": "Bonn"})


def test_a_pair_is_in_the_form_of_the_services() -> None:
    row = Preference(prompt="2+2?", chosen="4", rejected="5", tools=TOOLS, where=HERE)
    assert TARGETS["fireworks"](row) == {
        "input": {"messages": [{"role": "user", "content": "2+2?"}], "tools": TOOLS},
        "preferred_output": [{"role": "assistant", "content": "4"}],
        "non_preferred_output": [{"role": "assistant", "content": "5"}],
    }


def test_trl_reads_what_is_written_for_it() -> None:
    from trl.data_utils import is_conversational

    assert is_conversational(TARGETS["trl"](_chat(content="Rain.")))
    assert not is_conversational(TARGETS["trl"](Text(text="Rain.", where=HERE)))


def test_a_loss_stops_the_file_unless_it_is_allowed(tmp_path: Path) -> None:
    source, path = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(jsonl({"text": "One row."}, {"text": "Another row."}))

    with pytest.raises(DataError, match=r"rows\.jsonl:1: not-expressible"):
        convert(str(source), "openai", path)
    assert list(tmp_path.iterdir()) == [source]

    made = convert(str(source), "openai", path, lossy=True)
    assert (made.rows, len(made.lost)) == (0, 2)


def test_a_file_is_converted_whole_and_never_replaced(tmp_path: Path) -> None:
    import hashlib

    source, path = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(jsonl({"instruction": "Double", "input": "2", "output": "4"}))

    made = convert(str(source), "together", path)

    assert json.loads(path.read_text())["messages"][0] == {"role": "user", "content": "Double\n2"}
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SpecError, match="exists"):
        convert(str(source), "together", path)
    with pytest.raises(SpecError, match="no target 'cohere'; there are trl"):
        convert(str(source), "cohere", tmp_path / "other.jsonl")


WEIGHED: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
    {"prompt": "2+2=", "completion": "4"},
    {"text": "Once upon a time."},
    {
        "input": {"messages": [{"role": "user", "content": "Hi"}]},
        "preferred_output": [{"role": "assistant", "content": "Hello"}],
        "non_preferred_output": [{"role": "assistant", "content": "What"}],
    },
]


@pytest.mark.parametrize("raw", WEIGHED, ids=["chat", "completion", "text", "pair"])
def test_the_weight_of_a_row_goes_to_together_as_it_came(raw: dict[str, Any]) -> None:
    """Together's data formats: a weight beside the row, of at least 0, for every kind of row."""
    _, (row,), issues = read({**raw, "weight": 0.25})
    assert issues == []
    assert TARGETS["together"](row) == {**raw, "weight": 0.25}
    assert list(losses(row, TARGETS["together"](row), "together")) == []
    _, (below,), _ = read({**raw, "weight": -1})
    with pytest.raises(Fault, match="no weight below 0"):
        TARGETS["together"](below)


@pytest.mark.parametrize("raw", WEIGHED, ids=["chat", "completion", "text", "pair"])
@pytest.mark.parametrize("target", ["trl", "openai", "fireworks"])
def test_a_weight_that_a_form_cannot_hold_is_told(raw: dict[str, Any], target: str) -> None:
    _, (row,), _ = read({**raw, "weight": 0.25})
    if row.kind == "text" and target != "trl":
        return
    native = TARGETS[target](row)
    told = [issue.message for issue in losses(row, native, target)]
    if target == "fireworks" and row.kind == "conversation":
        assert (native["weight"], told) == (0.25, [])
    else:
        assert any("weight" in message or "prompt" in message for message in told)
        assert native.get("weight") in (None, 0.25)


@pytest.mark.parametrize("target", ["trl", "sharegpt", "openai"])
def test_the_weight_1_is_no_loss(target: str) -> None:
    _, (row,), _ = read({**WEIGHED[0], "weight": 1})
    native = TARGETS[target](row)
    assert "weight" not in native
    assert list(losses(row, native, target)) == []


def test_fireworks_gets_a_weight_on_all_rows_or_on_none(tmp_path: Path) -> None:
    """As its loopback server checks a dataset; `tunekit.testing` holds that against the rule."""
    chat = WEIGHED[0]
    rows = [chat, {**chat, "weight": 0.5}, {**chat, "weight": 1}]
    for name, wanted in (("some", rows), ("none", [chat] * 3), ("all", rows[1:] * 2)):
        made = convert(wanted, "fireworks", tmp_path / f"{name}.jsonl")
        assert fireworks_rows.read([made.path.read_bytes()]) == ("chat", len(wanted))
    written = [json.loads(line) for line in (tmp_path / "some.jsonl").read_bytes().splitlines()]
    assert [row["weight"] for row in written] == [1, 0.5, 1]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("raw", [WEIGHED[0], WEIGHED[3]], ids=["chat", "pair"])
def test_whether_calls_may_be_parallel_is_kept_for_openai_and_told_elsewhere(
    raw: dict[str, Any],
) -> None:
    given = json.loads(json.dumps(raw))
    given.get("input", given)["parallel_tool_calls"] = False
    _, (row,), issues = read(given)
    assert issues == []
    assert TARGETS["openai"](row) == given
    assert list(losses(row, TARGETS["openai"](row), "openai")) == []
    for target in ("together", "fireworks", "trl"):
        (told,) = losses(row, TARGETS[target](row), target)
        assert "parallel_tool_calls" in told.message


@pytest.mark.parametrize("weight", ["much", True, "nan", [1]])
def test_a_weight_that_is_no_number_is_an_issue(weight: Any) -> None:
    _, rows, (issue,) = read({**WEIGHED[1], "weight": weight})
    assert (rows, issue.code) == ([], "bad-weight")
    assert "rename the column" in issue.fix


def test_the_weight_of_a_table_may_be_text() -> None:
    _, (row,), _ = read({**WEIGHED[1], "weight": "0.5"})
    assert said_weight(row) == 0.5
