"""Scores of answers, and the interval around a share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.evaluation.metrics import PROPORTIONS, scores
from tunekit.evaluation.statistics import wilson

WANTED = '{"category": "billing", "urgent": true, "amount": 3}'


@pytest.mark.parametrize(
    ("answer", "valid", "keys", "exact"),
    [
        ('{"amount": 3, "urgent": true, "category": "billing"}', 1, 1, 1),
        ('  {"category":"billing","urgent":true,"amount":3}\n', 1, 1, 1),
        ('{"category": "other", "urgent": false, "amount": 0}', 1, 1, 0),
        ('{"category": "billing", "urgent": true, "amount": 3.0}', 1, 1, 0),
        ('{"category": "billing", "urgent": 1, "amount": 3}', 1, 1, 0),
        ('{"category": "billing", "urgent": true}', 1, 0, 0),
        ('{"category": "billing", "urgent": true, "amount": 3, "more": 0}', 1, 0, 0),
        ("{}", 1, 0, 0),
        (f"Sure! {WANTED}", 0, 0, 0),
        (f"```json\n{WANTED}\n```", 0, 0, 0),
        (f"{WANTED} {WANTED}", 0, 0, 0),
        (f"[{WANTED}]", 0, 0, 0),
        ('{"category": "billing", "urgent": true, "amount": NaN}', 0, 0, 0),
        ("", 0, 0, 0),
        ("[" * 100_000, 0, 0, 0),
        ('{"category": ' + "1" * 5000 + "}", 0, 0, 0),
    ],
)
def test_answers_that_should_be_json_are_scored_as_json(
    answer: str, valid: int, keys: int, exact: int
) -> None:
    assert scores([answer], [WANTED]) == {
        "json_valid": valid,
        "json_keys": keys,
        "exact_match": exact,
    }


def test_a_score_is_the_mean_over_all_answers() -> None:
    found = scores([WANTED, "{}", "no", "no"], [WANTED] * 4)
    assert found == {"json_valid": 0.5, "json_keys": 0.25, "exact_match": 0.25}


def test_an_empty_object_may_be_wanted() -> None:
    assert scores(["{}", '{"a": 1}'], ["{}", "{}"]) == {
        "json_valid": 1,
        "json_keys": 0.5,
        "exact_match": 0.5,
    }


def test_one_reference_in_prose_makes_all_of_them_prose() -> None:
    assert set(scores([WANTED, "yes"], [WANTED, "yes"])) == {"exact_match", "word_f1"}


@pytest.mark.parametrize(
    ("answer", "exact", "f1"),
    [
        ("Paris is the capital.", 1, 1),
        (" Paris is the capital. ", 1, 1),
        ("paris is a capital", 0, 1),
        # Two of three words are shared with the three of the reference.
        ("Paris, capital city", 0, 2 / 3),
        ("Paris", 0, 1 / 2),
        ("Paris Paris Paris", 0, 1 / 3),
        ("London", 0, 0),
        ("", 0, 0),
    ],
)
def test_prose_is_scored_by_words_as_squad_does(answer: str, exact: int, f1: float) -> None:
    found = scores([answer], ["Paris is the capital."])
    assert found == {"exact_match": exact, "word_f1": pytest.approx(f1)}


def test_no_answers_have_no_scores() -> None:
    assert scores([], []) == {}


def test_answers_and_references_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        scores(["a"], ["a", "b"])


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), min_size=1, max_size=5))
def test_any_text_is_scored_between_nought_and_one(rows: list[tuple[str, str]]) -> None:
    found = scores([answer for answer, _ in rows], [reference for _, reference in rows])
    assert all(0 <= value <= 1 for value in found.values())


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_the_one_in_newcombe_1998_table_1(
    successes: int, count: int, low: float, high: float
) -> None:
    assert wilson(successes, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.data())
def test_the_interval_holds_the_share_and_mirrors(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    low, high = wilson(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    assert wilson(count - hits, count) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("successes", "count"), [(-1, 4), (5, 4), (0, 0)])
def test_what_is_no_proportion_has_no_interval(successes: int, count: int) -> None:
    with pytest.raises(ValueError, match="is no proportion"):
        wilson(successes, count)


def test_only_metrics_that_are_right_or_wrong_are_proportions() -> None:
    assert {"json_valid", "json_keys", "exact_match"} == PROPORTIONS
