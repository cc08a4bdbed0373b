"""What is trained on can be seen, token by token, and nothing in the data gets out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import tiny_tokenizer
from tunekit import data
from tunekit.errors import SpecError

CHAT = {
    "messages": [
        {"role": "user", "content": "the order"},
        {"role": "assistant", "content": "refund the parcel"},
    ]
}


def test_the_answer_and_its_end_are_marked_and_the_question_is_not() -> None:
    made = data.preview([CHAT], model=tiny_tokenizer())
    assert str(made).splitlines()[-1] == "⟧"
    assert "⟦refund the parcel<|im_end|>\n⟧" in str(made)
    assert "⟦the order" not in str(made)


def test_the_tokens_of_a_row_join_to_the_text_of_the_row() -> None:
    chat = {"messages": [CHAT["messages"][0], {"role": "assistant", "content": "naïve 订单 🙂"}]}
    made = data.preview([chat], model=tiny_tokenizer())
    joined = "".join(token.text for token in made.sequences[0].tokens)
    assert "naïve 订单 🙂<|im_end|>" in joined


def test_both_answers_of_a_pair_are_shown() -> None:
    pair = {"prompt": "the order", "chosen": "refund", "rejected": "no refund"}
    made = data.preview([pair], model=tiny_tokenizer())
    assert [shown.title for shown in made.sequences] == ["<rows>:1, chosen", "<rows>:1, rejected"]


def test_a_row_that_is_cut_says_so() -> None:
    made = data.preview([CHAT], model=tiny_tokenizer(), max_length=4)
    assert "4 tokens, 0 trained on, cut at max_length" in str(made)


def test_the_page_escapes_what_the_data_holds_and_loads_nothing(tmp_path: Path) -> None:
    chat = {
        "messages": [
            {"role": "user", "content": "<script>alert(1)</script>"},
            {"role": "assistant", "content": "\x1b]0;title\x07 done"},
        ]
    }
    made = data.preview([chat], model=tiny_tokenizer())
    page = made.html(tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "\x1b" not in page
    assert "\x1b" not in str(made)


def test_train_on_that_means_nothing_for_the_rows_is_told() -> None:
    with pytest.raises(SpecError, match="means nothing for text rows; use all"):
        data.preview([{"text": "the order"}], model=tiny_tokenizer(), train_on="assistant")
    with pytest.raises(SpecError, match="cannot be loaded"):
        data.preview([CHAT], model="/nowhere/at/all")


def test_lengths_far_apart_are_counted_in_steps_of_two() -> None:
    rows = [{"text": "x" * 4 * size} for size in (20, 40, 50, 100, 1000)]
    made = data.stats(rows)
    assert made.lengths == {32: 1, 64: 2, 128: 1, 256: 0, 512: 0, 1024: 1}


def test_stats_of_a_model_count_its_own_tokens(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    sizes = [len(tokenizer.apply_chat_template(CHAT["messages"], tokenize=True)["input_ids"])]
    made = data.stats([CHAT] * 300, model=tokenizer)
    assert (made.tokens, made.percentiles[100]) == (300 * sizes[0], sizes[0])
    assert "estimated" not in made.html(tmp_path / "stats.html").read_text()
    pair = {"prompt": "the order", "chosen": "refund", "rejected": "no refund"}
    texts = ("the order" + answer + "<|im_end|>" for answer in ("refund", "no refund"))
    assert data.stats([pair], model=tokenizer).tokens == sum(map(len, map(tokenizer.encode, texts)))
    with pytest.raises(SpecError, match="prompt rows are not trained on"):
        data.stats([{"prompt": "the order"}], model=tokenizer)


def test_a_judged_answer_is_shown_with_its_verdict_and_trained_on_to_its_end() -> None:
    row = {"prompt": "the order", "completion": " refund", "label": False}
    (shown,) = data.preview([row], model=tiny_tokenizer()).sequences
    trained = "".join(token.text for token in shown.tokens if token.trained)
    assert (shown.heading, trained) == (
        "<rows>:1, unwanted: 9 tokens, 5 trained on",
        " refund<|im_end|>",
    )


def test_stats_count_rows_tokens_and_languages(tmp_path: Path) -> None:
    rows = [{"prompt": "x" * 40, "completion": "y" * 40}] * 3 + [{"prompt": "a", "completion": "b"}]
    made = data.stats(rows)
    assert (made.rows, made.tokens) == (4, 3 * 20 + 2)
    assert {edge: count for edge, count in made.lengths.items() if count} == {4: 1, 22: 3}
    assert made.percentiles[50] == 20
    assert made.percentiles[100] == 20
    page = made.html(tmp_path / "stats.html").read_text()
    assert page.count("<rect") == len(made.lengths) == 10
    assert "<script" not in page
