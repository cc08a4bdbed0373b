"""Real templates: what is trained is what the model must say, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.families import (
    FAMILIES,
    HERE,
    TRAINED_BY_TRL,
    chat,
    real,
    stretches,
)
from tunekit.data.mask import IGNORED, Tokens, audit, tokenize
from tunekit.data.rows import Conversation, Message
from tunekit.data.template import Writer, stops, turn

SYSTEM, FIRST, SECOND = ("system", "Be kind."), ("user", "Where is it?"), ("user", "And when?")
HERE_IT_IS, AT_NOON = ("assistant", "It is here."), ("assistant", "At noon.")
ONE = chat(FIRST, HERE_IT_IS)
TWO = chat(FIRST, HERE_IT_IS, SECOND, AT_NOON)
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "find", "arguments": '{"what": "teapot"}'},
}
TOOL = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Finds.",
        "parameters": {
            "type": "object",
            "properties": {"what": {"type": "string", "description": "What."}},
            "required": ["what"],
        },
    },
}
CALLED = Conversation(
    messages=(
        Message(role="user", content="Where is it?"),
        Message(role="assistant", tool_calls=[CALL]),
        Message(role="tool", content="drawer", name="find", tool_call_id="c1"),
        Message(role="assistant", content="It is here."),
        Message(role="user", content="And when?"),
        Message(role="assistant", content="At noon."),
    ),
    tools=[TOOL],
    where=HERE,
)


def tokens(row: Conversation, tokenizer: Any, train_on: str = "assistant") -> Tokens:
    return tokenize(row, tokenizer, train_on=train_on, max_length=None)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_answer_is_trained_to_its_end_and_no_word_of_the_user(name: str) -> None:
    family, tokenizer = FAMILIES[name], real(name)
    row = chat(SYSTEM, *((m.role, str(m.content)) for m in TWO.messages)) if family.system else TWO
    made = tokens(row, tokenizer)
    first, last = stretches(made, tokenizer)
    assert "It is here." in first
    assert first.rstrip().endswith(family.middle)
    assert "At noon." in last
    assert last.rstrip().endswith(family.stop)
    for words in ("Where", "when", "kind"):
        assert words not in first + last
    assert len(made.others) == len(row.messages) - 2
    assert audit([made], tokenizer) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_holds_at_most_one_beginning(name: str) -> None:
    tokenizer = real(name)
    ids = tokens(TWO, tokenizer).input_ids
    if tokenizer.bos_token_id is not None:
        assert ids.count(tokenizer.bos_token_id) <= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_the_ids_are_those_of_the_template_but_for_a_stop_it_does_not_write(name: str) -> None:
    tokenizer = real(name)
    writer = Writer(tokenizer, None, HERE)
    _, text = writer.whole([turn(message) for message in TWO.messages])
    plain = tokenizer(text, add_special_tokens=False)["input_ids"]
    extra = tokenizer.convert_tokens_to_ids(["<|user|>"]) if name == "glm4moe" else []
    assert tokens(TWO, tokenizer).input_ids == plain + extra


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.tools])
def test_calls_are_trained_whole_and_results_are_not(name: str) -> None:
    tokenizer = real(name)
    made = tokens(CALLED, tokenizer)
    called, answered, last = stretches(made, tokenizer)
    assert "find" in called
    assert "teapot" in called
    assert "It is here." in answered
    assert "At noon." in last
    assert "drawer" not in called + answered + last
    assert audit([made], tokenizer) == []


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.tools])
def test_a_row_that_ends_with_a_call_learns_to_stop_there(name: str) -> None:
    tokenizer = real(name)
    row = Conversation(messages=CALLED.messages[:2], tools=[TOOL], where=HERE)
    made = tokens(row, tokenizer)
    assert len(stretches(made, tokenizer)) == 1
    assert made.labels[-1] != IGNORED
    assert audit([made], tokenizer) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_answer_alone_can_be_trained(name: str) -> None:
    tokenizer = real(name)
    every = stretches(tokens(TWO, tokenizer), tokenizer)
    assert stretches(tokens(TWO, tokenizer, "completion"), tokenizer) == every[-1:]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_stops_hold_what_ends_an_answer_in_this_family(name: str) -> None:
    family, tokenizer = FAMILIES[name], real(name)
    wanted = {family.stop, family.middle, family.eos}
    assert set(tokenizer.convert_tokens_to_ids(sorted(wanted))) <= stops(tokenizer)


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5_think", "glm4moe", "gptoss", "nemotron_3_nano"])
def test_reasoning_before_the_last_answer_is_trained(name: str) -> None:
    tokenizer = real(name)
    row = Conversation(
        messages=(
            *TWO.messages[:3],
            Message(role="assistant", content="At noon.", reasoning="Clocks say so."),
        ),
        where=HERE,
    )
    made = tokens(row, tokenizer)
    assert "Clocks say so." in stretches(made, tokenizer)[-1]
    assert audit([made], tokenizer) == []


# --- against TRL: its training templates mark what it trains on ---------------------------------

EXACT = (
    "qwen3_instruct_2507 qwen3_vl llama3 gemma gemma3 phi3 phi3_5 cohere cohere2 glm4moe lfm2 "
    "lfm2_v2 smolvlm idefics3"
).split()
"""Same tokens, same labels, for any chat without calls."""

ONE_TURN = ["qwen3"]
"""TRL's template puts an empty thought before every answer, the model's own before the last."""

PROMPTED = (
    "qwen2_5 qwen3_5_think qwen3_5_nothink qwen3_6 qwen3_8 deepseekv3 deepseek_r1_distill gptoss "
    "nemotron_3_nano muse_glimmer"
).split()
"""TRL also trains tokens that the prompt has written already when the model begins to answer."""

SPACED = ["llava_next"]
"""The blank that the template writes behind the end of turn is outside TRL's marks."""


def marked_by_trl(row: Conversation, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Give ids and labels as TRL's trainer takes them: by the mask of transformers."""
    writer = Writer(tokenizer, row.tools, HERE)
    turns = writer._shaped([turn(message) for message in row.messages])
    made = tokenizer.apply_chat_template(
        turns, tools=row.tools, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(made["input_ids"], made["assistant_masks"], strict=True)
    return made["input_ids"], [token if kept else IGNORED for token, kept in pairs]


def test_every_template_that_trl_trains_with_is_compared() -> None:
    assert sorted([*EXACT, *ONE_TURN, *PROMPTED, *SPACED]) == sorted(TRAINED_BY_TRL)
    assert len(TRAINED_BY_TRL) >= 20


@pytest.mark.parametrize("row", [ONE, TWO], ids=["one turn", "two turns"])
@pytest.mark.parametrize("name", TRAINED_BY_TRL)
def test_marks_in_a_template_give_the_labels_of_trl(name: str, row: Conversation) -> None:
    tokenizer = real(name, training=True)
    made = tokens(row, tokenizer)
    assert (made.input_ids, made.labels) == marked_by_trl(row, tokenizer)
    assert audit([made], tokenizer) == []


@pytest.mark.parametrize("row", [ONE, TWO], ids=["one turn", "two turns"])
@pytest.mark.parametrize("name", EXACT)
def test_without_marks_the_labels_are_those_of_trl(name: str, row: Conversation) -> None:
    made = tokens(row, real(name))
    assert (made.input_ids, made.labels) == marked_by_trl(row, real(name, training=True))


@pytest.mark.parametrize("name", ONE_TURN)
def test_where_trl_rewrites_earlier_answers_one_turn_is_the_same(name: str) -> None:
    made = tokens(ONE, real(name))
    assert (made.input_ids, made.labels) == marked_by_trl(ONE, real(name, training=True))


@pytest.mark.parametrize("name", [*PROMPTED, *SPACED])
def test_where_trl_differs_it_is_in_tokens_that_the_model_need_not_write(name: str) -> None:
    tokenizer = real(name)
    made = tokens(ONE, tokenizer)
    ids, labels = marked_by_trl(ONE, real(name, training=True))
    assert made.input_ids == ids
    pairs = list(zip(ids, made.labels, labels, strict=True))
    extra = tokenizer.decode([i for i, ours, trl in pairs if ours == IGNORED and trl != IGNORED])
    missed = tokenizer.decode([i for i, ours, trl in pairs if trl == IGNORED and ours != IGNORED])
    asked = Writer(tokenizer, None, HERE).write([turn(ONE.messages[0])], prompt=True)
    assert missed.strip() == ""
    assert extra in asked.rpartition("Where is it?")[2]
    assert bool(extra) == (name in PROMPTED)
