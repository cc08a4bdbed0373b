"""Labels: chats without a known template, plain text, pairs, lengths, prompts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.data.families import (
    CHATML,
    FAMILIES,
    HERE,
    QWEN,
    Family,
    byte_level,
    chat,
    chatml,
    real,
    sentence_piece,
    stretches,
)
from tunekit.data.mask import (
    IGNORED,
    Pair,
    audit,
    prompt,
    tokenize,
    tokenize_judged,
    tokenize_pair,
    tokenize_prompt,
)
from tunekit.data.rows import Completion, Conversation, Judged, Message, Preference, Text, Where
from tunekit.data.rows import Prompt as AskedRow
from tunekit.errors import DataError, SpecError

TWO = chat(("user", "hi"), ("assistant", "yes"), ("user", "or"), ("assistant", "no"))
PLAIN = Family(None, "</s>", "</s>", "</s>")
INSTRUCT = (
    "{% for m in messages %}{{ '### ' + m.role + ':\n' + m.content + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
    "{% generation %}{{ m.content + '<|im_end|>\n' }}{% endgeneration %}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def trained(row: Any, tokenizer: Any, *, train_on: str = "assistant") -> list[str]:
    return stretches(tokenize(row, tokenizer, train_on=train_on, max_length=None), tokenizer)


@pytest.mark.parametrize("template", [CHATML, MARKED], ids=["plain", "marked"])
@pytest.mark.parametrize("trim", [False, True], ids=["whole offsets", "trimmed offsets"])
def test_chatml_trains_the_answers_and_the_ends_of_their_turns(template: str, trim: bool) -> None:
    tokenizer = byte_level(QWEN, template, trim=trim)
    made = tokenize(TWO, tokenizer, train_on="assistant", max_length=None)
    assert stretches(made, tokenizer) == ["yes<|im_end|>\n", "no<|im_end|>\n"]
    assert audit([made], tokenizer) == []


def test_a_sentence_piece_tokenizer_trains_the_bytes_of_a_letter_it_does_not_know() -> None:
    family = Family("<s>", "</s>", "</s>", "</s>")
    template = (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content "
        "+ ' [/INST]' }}{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
    )
    tokenizer = sentence_piece(family, template)
    row = chat(("user", "größe"), ("assistant", "schön 🙂"))
    made = tokenize(row, tokenizer, train_on="assistant", max_length=None)
    assert stretches(made, tokenizer) == [" schön 🙂 </s>"]
    assert audit([made], tokenizer) == []


def test_a_template_without_special_tokens_gets_the_end_of_sequence_behind_the_last_answer() -> (
    None
):
    tokenizer = byte_level(PLAIN, INSTRUCT)
    made = tokenize(TWO, tokenizer, train_on="assistant", max_length=None)
    assert stretches(made, tokenizer) == ["yes\n\n", "no\n\n</s>"]
    assert made.input_ids[-1] == tokenizer.eos_token_id
    assert audit([made], tokenizer) == []


CONTENT = some.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))


@given(some.lists(some.tuples(CONTENT, CONTENT), min_size=1, max_size=4))
@settings(max_examples=120, deadline=None)
def test_whatever_is_said_chatml_trains_exactly_the_answers(said: list[tuple[str, str]]) -> None:
    tokenizer = chatml()
    row = chat(*(turn for ask, say in said for turn in (("user", ask), ("assistant", say))))
    made = tokenize(row, tokenizer, train_on="assistant", max_length=None)
    assert stretches(made, tokenizer) == [f"{say}<|im_end|>\n" for _, say in said]
    assert len(made.others) == len(said)
    assert audit([made], tokenizer) == []


@given(
    said=some.lists(some.tuples(CONTENT, CONTENT), min_size=1, max_size=3),
    name=some.sampled_from(sorted(FAMILIES)),
)
@settings(max_examples=120, deadline=None)
def test_whatever_is_said_no_family_trains_the_user_or_forgets_to_stop(
    said: list[tuple[str, str]], name: str
) -> None:
    family, tokenizer = FAMILIES[name], real(name)
    row = chat(*(turn for ask, say in said for turn in (("user", ask), ("assistant", say))))
    made = tokenize(row, tokenizer, train_on="assistant", max_length=None)
    found = stretches(made, tokenizer)
    assert len(found) == len(said)
    for text, (_, say) in zip(found, said, strict=True):
        assert say.strip() in text
        assert text.rstrip().endswith((family.stop, family.middle))
    assert audit([made], tokenizer) == []


@pytest.mark.parametrize("name", ["qwen2_5", "llama3", "gemma3", "phi3", "gptoss", "deepseekv3"])
def test_an_answer_that_repeats_the_question_is_still_told_apart(name: str) -> None:
    tokenizer = real(name)
    row = chat(("user", "same"), ("assistant", "same"), ("user", "same"), ("assistant", "same"))
    made = tokenize(row, tokenizer, train_on="assistant", max_length=None)
    assert tokenizer.decode([i for i in made.labels if i != IGNORED]).count("same") == 2
    assert len(made.others) == 2
    assert audit([made], tokenizer) == []


def test_turns_of_weight_zero_are_context() -> None:
    turns = [turn.model_copy() for turn in TWO.messages]
    turns[1] = turns[1].model_copy(update={"weight": 0.0})
    row = Conversation(messages=tuple(turns), where=HERE)
    for template in (CHATML, MARKED):
        assert trained(row, chatml(template)) == ["no<|im_end|>\n"]
    turns[3] = turns[3].model_copy(update={"weight": 0.0})
    turns[1] = turns[1].model_copy(update={"weight": 1.0})
    row = Conversation(messages=tuple(turns), where=HERE)
    assert trained(row, chatml(), train_on="completion") == ["yes<|im_end|>\n"]


def test_an_answer_of_several_marks_belongs_to_one_turn() -> None:
    """Phi-3's template for training marks the end of sequence apart from the last answer."""
    tokenizer = real("phi3", training=True)
    assert trained(TWO, tokenizer, train_on="completion") == ["no<|end|>\n<|endoftext|>"]
    first = TWO.messages[1].model_copy(update={"weight": 0.0})
    row = Conversation(messages=(TWO.messages[0], first, *TWO.messages[2:]), where=HERE)
    assert trained(row, tokenizer) == ["no<|end|>\n<|endoftext|>"]


def test_an_answer_may_be_one_special_token() -> None:
    row = chat(("user", "hi"), ("assistant", "<|endoftext|>"))
    assert trained(row, chatml()) == ["<|endoftext|><|im_end|>\n"]


def test_all_trains_every_token() -> None:
    made = tokenize(TWO, chatml(), train_on="all", max_length=None)
    assert made.labels == made.input_ids
    assert audit([made], chatml(), train_on="all") == []


def test_a_chat_that_the_assistant_opens_is_trained_from_its_first_word() -> None:
    row = chat(("assistant", "Welcome"), ("user", "hi"), ("assistant", "yes"))
    assert trained(row, chatml()) == ["Welcome<|im_end|>\n", "yes<|im_end|>\n"]
    assert trained(row, real("glm4moe")) == [
        "Welcome<|user|>",
        "\n<think></think>\nyes<|user|>",
    ]


def test_a_template_that_refuses_a_row_is_an_issue_of_that_row() -> None:
    row = chat(("system", "Be kind."), ("user", "hi"), ("assistant", "yes"))
    with pytest.raises(DataError, match=r"rows:1: template-refused: .*System role not supported"):
        tokenize(row, real("gemma"), train_on="assistant", max_length=None)


@pytest.mark.parametrize("name", ["llama3", "phi3", "cohere", "deepseek_r1_distill", "smolvlm"])
def test_a_template_that_drops_a_call_is_an_issue_and_not_an_empty_answer(name: str) -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": "{}"}}
    called = Message(role="assistant", tool_calls=[call])
    row = Conversation(messages=(TWO.messages[0], called), where=HERE)
    with pytest.raises(DataError, match=r"template-drops-answer: .* messages\[1\]"):
        tokenize(row, real(name), train_on="assistant", max_length=None)


def test_a_template_that_drops_an_answer_is_an_issue() -> None:
    dropped = CHATML.replace("message.content", "(message.content if loop.last else '')")
    with pytest.raises(DataError, match=r"template-drops-answer: .* messages\[1\]"):
        tokenize(TWO, chatml(dropped), train_on="assistant", max_length=None)


def test_a_tokenizer_without_a_template_says_which_rows_do_not_need_one() -> None:
    tokenizer = byte_level(PLAIN, None)
    with pytest.raises(SpecError, match=r"no chat template.*prompt/completion rows"):
        tokenize(TWO, tokenizer, train_on="assistant", max_length=None)
    pair = Preference(
        prompt=TWO.messages[:1], chosen=TWO.messages[1:2], rejected=TWO.messages[3:], where=HERE
    )
    with pytest.raises(SpecError, match="no chat template"):
        tokenize_pair(pair, tokenizer, max_length=None)


def test_a_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(SpecError, match="tells no character offsets"):
        tokenize(TWO, Slow(), train_on="assistant", max_length=None)


# --- plain text ---------------------------------------------------------------------------------


def test_a_completion_is_trained_with_its_end_and_its_prompt_is_not() -> None:
    tokenizer = byte_level(PLAIN, None)
    row = Completion(prompt="2+2=", completion=" 4", where=HERE)
    assert trained(row, tokenizer, train_on="completion") == [" 4</s>"]
    assert trained(row, tokenizer, train_on="all") == ["2+2= 4</s>"]
    ended = Completion(prompt="2+2=", completion=" 4</s>", where=HERE)
    assert trained(ended, tokenizer, train_on="completion") == [" 4</s>"]


def test_text_is_trained_whole() -> None:
    tokenizer = byte_level(PLAIN, None)
    assert trained(Text(text="once", where=HERE), tokenizer, train_on="all") == ["once</s>"]
    assert trained(Text(text="on</s>", where=HERE), tokenizer, train_on="all") == ["on</s>"]


# --- lengths ------------------------------------------------------------------------------------


def test_a_long_row_keeps_its_start() -> None:
    tokenizer = chatml()
    whole = tokenize(TWO, tokenizer, train_on="assistant", max_length=None)
    size = len(whole.input_ids) - 3
    cut = tokenize(TWO, tokenizer, train_on="assistant", max_length=size)
    assert cut.input_ids == whole.input_ids[:size]
    assert cut.labels == whole.labels[:size]
    assert (whole.complete, cut.complete) == (True, False)
    same = tokenize(TWO, tokenizer, train_on="assistant", max_length=len(whole.input_ids))
    assert same == whole
    assert audit([cut], tokenizer) == []


def test_a_row_cut_before_its_answer_is_an_issue_of_that_row() -> None:
    tokenizer = chatml()
    good, cut = (
        tokenize(TWO, tokenizer, train_on="assistant", max_length=size) for size in (99, 4)
    )
    issues = audit([good, cut], tokenizer)
    assert [(issue.code, issue.file, issue.line) for issue in issues] == [
        ("no-trained-token", "rows", 1)
    ]
    assert "training.max_length" in issues[0].fix


@pytest.mark.parametrize("max_length", [None, 100, 14, 12, 9, 3])
def test_a_long_pair_keeps_its_start(max_length: int | None) -> None:
    tokenizer = byte_level(PLAIN, None)
    row = Preference(prompt="0123456789", chosen="abcd", rejected="xyz", where=HERE)
    pair = tokenize_pair(row, tokenizer, max_length=max_length)
    chosen, rejected = "0123456789abcd</s>", "0123456789xyz</s>"
    ids = [tokenizer(text)["input_ids"][:max_length] for text in (chosen, rejected)]
    assert [pair.prompt_ids + pair.chosen_ids, pair.prompt_ids + pair.rejected_ids] == ids
    assert pair.complete == (max_length in (None, 100))
    lost = [issue.code for issue in audit([pair], tokenizer)]
    assert lost == (["no-trained-token"] if max_length in (9, 3) else [])


def test_a_pair_of_chats_is_split_behind_the_prompt() -> None:
    tokenizer = chatml()
    row = Preference(
        prompt=TWO.messages[:1], chosen=TWO.messages[1:2], rejected=TWO.messages[3:], where=HERE
    )
    pair = tokenize_pair(row, tokenizer, max_length=None)
    asked = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(pair.prompt_ids) == asked
    assert tokenizer.decode(pair.chosen_ids) == "yes<|im_end|>\n"
    assert tokenizer.decode(pair.rejected_ids) == "no<|im_end|>\n"
    assert audit([pair], tokenizer) == []


def test_a_judged_answer_is_split_like_that_of_a_pair() -> None:
    tokenizer = chatml()
    row = Judged(prompt=TWO.messages[:1], completion=TWO.messages[1:2], label=False, where=HERE)
    made = tokenize_judged(row, tokenizer, max_length=None)
    asked = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(made.prompt_ids) == asked
    assert tokenizer.decode(made.completion_ids) == "yes<|im_end|>\n"
    assert (made.label, made.complete, audit([made], tokenizer)) == (False, True, [])
    cut = tokenize_judged(row, tokenizer, max_length=len(made.prompt_ids))
    assert [issue.code for issue in audit([cut], tokenizer)] == ["no-trained-token"]


def test_a_prompt_ends_where_the_answer_begins() -> None:
    tokenizer = chatml()
    ids = tokenize_prompt(AskedRow(prompt=TWO.messages[:1], where=HERE), tokenizer)
    assert tokenizer.decode(ids) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    flat = tokenize_prompt(AskedRow(prompt="hi", where=HERE), tokenizer)
    assert tokenizer.decode(flat) == "hi"


# --- the audit ----------------------------------------------------------------------------------


def codes(row: Any, tokenizer: Any) -> list[str]:
    made = tokenize(row, tokenizer, train_on="assistant", max_length=None)
    return [issue.code for issue in audit([made], tokenizer)]


def test_marks_that_leave_out_the_end_of_turn_are_found() -> None:
    early = MARKED.replace(
        "m.content + '<|im_end|>\n' }}{% endgeneration %}",
        "m.content }}{% endgeneration %}{{ '<|im_end|>\n' }}",
    )
    assert codes(TWO, chatml(early)) == ["end-of-turn-not-trained"]


def test_marks_around_the_user_are_found() -> None:
    loose = (
        "{% for m in messages %}{% generation %}{{ '<|im_start|>' + m.role + '\n' + m.content + "
        "'<|im_end|>\n' }}{% endgeneration %}{% endfor %}"
    )
    assert codes(TWO, chatml(loose)) == ["user-token-trained"]


@pytest.mark.parametrize("change", ["| upper", "| replace('hi', '')", "[:1]"])
def test_words_that_a_template_changes_are_not_claimed_as_the_users(change: str) -> None:
    changed = CHATML.replace("message.content +", f"(message.content {change}) +")
    made = tokenize(
        chat(("user", "hi"), ("assistant", "N")),
        chatml(changed),
        train_on="assistant",
        max_length=None,
    )
    assert made.others == ()
    assert stretches(made, chatml())[0] == "N<|im_end|>\n"


def test_two_beginnings_are_found() -> None:
    family = Family("<s>", "</s>", "</s>", "</s>")
    tokenizer = byte_level(family, "{{ bos_token + bos_token }}" + INSTRUCT)
    assert codes(TWO, tokenizer) == ["double-bos"]


def test_text_without_an_end_of_sequence_is_found() -> None:
    tokenizer = byte_level(PLAIN, None)
    tokenizer.eos_token = None
    made = tokenize(Text(text="once", where=HERE), tokenizer, train_on="all", max_length=None)
    assert [issue.code for issue in audit([made], tokenizer)] == ["end-of-turn-not-trained"]


def test_a_fault_of_many_rows_is_told_of_each_so_that_each_can_be_left_out() -> None:
    tokenizer = chatml()
    good = tokenize(TWO, tokenizer, train_on="assistant", max_length=None)
    bad = [Pair([1], [2], [3], where=Where(file="rows", line=line)) for line in (2, 3)]
    issues = audit([good, *bad], tokenizer)
    assert [(issue.code, issue.line) for issue in issues] == [
        ("end-of-turn-not-trained", 2),
        ("end-of-turn-not-trained", 3),
    ]


@pytest.mark.parametrize(("max_length", "told"), [(12, True), (13, False), (None, False)])
def test_a_pair_that_differs_only_behind_the_cut_is_found(
    max_length: int | None, told: bool
) -> None:
    tokenizer = byte_level(PLAIN, None)
    row = Preference(prompt="0123456789", chosen="abcd", rejected="abz", where=HERE)
    pair = tokenize_pair(row, tokenizer, max_length=max_length)
    found = [issue.code for issue in audit([pair], tokenizer)]
    assert found == (["identical-when-cut"] if told else [])


# --- prompts ------------------------------------------------------------------------------------

ASKED = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("row", "text", "reference"),
    [
        (TWO, f"{ASKED}yes<|im_end|>\n{ASKED.replace('hi', 'or')}", "no"),
        (
            Preference(
                prompt=TWO.messages[:1],
                chosen=TWO.messages[1:2],
                rejected=TWO.messages[3:],
                where=HERE,
            ),
            ASKED,
            "yes",
        ),
        (
            Judged(prompt=TWO.messages[:1], completion=TWO.messages[1:2], label=True, where=HERE),
            ASKED,
            "yes",
        ),
        (chat(("assistant", "Welcome")), "<|im_start|>assistant\n", "Welcome"),
        (Completion(prompt="2+2=", completion=" 4", where=HERE), "2+2=", " 4"),
        (Preference(prompt="2+2=", chosen="4", rejected="5", where=HERE), "2+2=", "4"),
        (Text(text="0123", where=HERE), "01", "23"),
    ],
    ids=["chat", "pair of chats", "judged", "greeting", "completion", "pair of texts", "text"],
)
def test_a_prompt_ends_where_the_held_out_answer_begins(
    row: Any, text: str, reference: str
) -> None:
    tokenizer = chatml()
    made = prompt(row, tokenizer)
    assert (made.text, made.reference) == (text, reference)
    assert tokenizer.decode(made.input_ids) == text


def test_a_prompt_is_what_the_template_asks_the_model_with() -> None:
    """DeepSeek opens the thought for the model, and leaves it out of a finished chat."""
    made = prompt(TWO, real("deepseekv3"))
    assert made.text.endswith("<｜User｜>or<｜Assistant｜><think>\n")


def test_a_held_out_call_is_the_reference_as_json() -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": "{}"}}
    called = Message(role="assistant", tool_calls=[call])
    row = Conversation(messages=(TWO.messages[0], called), where=HERE)
    assert '"name": "find"' in prompt(row, real("qwen2_5")).reference


def test_masking_loads_neither_torch_nor_transformers_until_it_is_used() -> None:
    script = (
        "import sys, tunekit.data.mask, tunekit.data.prepare, tunekit.data.render\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'datasets', 'pyarrow', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
