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
)
from tunekit.errors import DataError, SpecError

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
    from tunekit.data.issues import Fault

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
