"""Scores of answers, against worked examples and the libraries' own figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.errors import SpecError
from tunekit.evaluation.labels import confusion, labels
from tunekit.evaluation.metrics import fitting, is_prose, metric, scores
from tunekit.spec.metrics import METRICS

WANTED = '{"category": "billing", "urgent": true, "amount": 3}'


@pytest.mark.parametrize(
    ("answer", "valid", "keys", "values"),
    [
        ('{"amount": 3, "urgent": true, "category": "billing"}', 1, 1, 1),
        ('  {"category":"billing","urgent":true,"amount":3}\n', 1, 1, 1),
        ('{"category": "other", "urgent": false, "amount": 0}', 1, 1, 0),
        ('{"category": "billing", "urgent": true, "amount": 3.0}', 1, 1, 2 / 3),
        ('{"category": "billing", "urgent": 1, "amount": 3}', 1, 1, 2 / 3),
        ('{"category": "billing", "urgent": true}', 1, 0, 2 / 3),
        ('{"category": "billing", "urgent": true, "amount": 3, "more": 0}', 1, 0, 3 / 4),
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
    answer: str, valid: int, keys: int, values: float
) -> None:
    found = scores([answer], [WANTED])
    assert list(found) == ["json_values", "exact_match", "json_valid", "json_schema", "json_keys"]
    assert (found["json_valid"], found["json_keys"]) == (valid, keys)
    assert found["json_values"] == pytest.approx(values)
    assert found["exact_match"] == float(values == 1)


def test_a_score_is_the_mean_over_all_answers() -> None:
    found = scores([WANTED, "{}", "no", "no"], [WANTED] * 4)
    assert (found["json_valid"], found["json_keys"], found["exact_match"]) == (0.5, 0.25, 0.25)


def test_an_empty_object_may_be_wanted() -> None:
    found = scores(["{}", '{"a": 1}'], ["{}", "{}"])
    assert (found["json_valid"], found["json_keys"], found["json_values"]) == (1, 0.5, 0.5)


def test_the_schema_is_what_all_references_keep() -> None:
    references = ['{"a": 1, "b": "x"}', '{"a": 2.5, "b": null}', '{"a": 1, "b": "y", "c": [1]}']
    score = metric("json_schema", references).score
    kept = ['{"a": 9, "b": null}', '{"a": 0, "b": "", "c": []}']
    broken = ['{"a": "9", "b": null}', '{"b": "x"}', '{"a": 1, "b": "x", "d": 1}', "{", "[]"]
    assert [score(answer, "") for answer in kept + broken] == [1.0] * 2 + [0.0] * 5


def test_a_schema_of_the_users_own_is_kept_instead() -> None:
    own = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}
    score = metric("json_schema", [WANTED], json_schema=own).score
    assert [score(answer, "") for answer in ('{"n": 3}', '{"n": 2}', "{}")] == [1, 0, 1]


@pytest.mark.parametrize(
    ("references", "names"),
    [
        ([WANTED, "{}"], ("json_values", "exact_match", "json_valid", "json_schema", "json_keys")),
        (["spam", "ham"] * 5, ("accuracy", "macro_f1")),
        (["3", "12", "-7.5", "1,200 €"], ("numeric_match", "exact_match")),
        (["48 / 2 = 24 clips #### 72"] * 3, ("numeric_match", "exact_match")),
        ([WANTED, "yes"], ("chrf", "rouge_l", "word_f1", "exact_match")),
        (["spam", "ham"], ("chrf", "rouge_l", "word_f1", "exact_match")),
        (["It costs 3 euros."] * 3, ("chrf", "rouge_l", "word_f1", "exact_match")),
        ([], ()),
    ],
    ids=["json", "labels", "numbers", "gsm8k", "mixed", "few", "prose", "none"],
)
def test_the_metrics_are_those_that_fit_the_references(
    references: list[str], names: tuple[str, ...]
) -> None:
    assert fitting(references) == names
    assert is_prose(names) == (not names or "chrf" in names)


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
    assert (found["exact_match"], found["word_f1"]) == (exact, pytest.approx(f1))


def test_rouge_l_is_the_f1_of_the_longest_common_subsequence() -> None:
    # Lin 2004, section 3: of police, the, gunman three of four words are in order.
    score = metric("rouge_l", []).score
    assert score("police kill the gunman", "police killed the gunman") == pytest.approx(3 / 4)
    assert score("the gunman kill police", "police killed the gunman") == pytest.approx(2 / 4)
    assert score("Привет, мир", "привет мир") == 1.0


def test_chrf_is_sacrebleus() -> None:
    from sacrebleu import sentence_chrf

    pairs = [("The cat sat.", "The cat is on the mat."), ("x", "yes"), ("", "yes"), ("a", "a")]
    for answer, reference in pairs:
        wanted = sentence_chrf(answer, [reference]).score / 100
        assert metric("chrf", []).score(answer, reference) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("answer", "reference", "hit"),
    [
        ("So she pays 1,234.50 in all", "1234.5", 1),
        ("12 boxes and 3 more make 15", "15", 1),
        ("15 is 12 and 3", "15", 0),
        ("I think #### 42 apples, not 7", "first 3, then 4 #### 42", 1),
        ("-3", "3", 0),
        ("none", "3", 0),
        ("0.333333", "0.3333331", 1),
    ],
)
def test_results_are_compared_as_numbers(answer: str, reference: str, hit: int) -> None:
    assert metric("numeric_match", []).score(answer, reference) == hit


def test_labels_are_compared_without_case_and_full_stop() -> None:
    assert metric("accuracy", []).score(" Spam.\n", "spam") == 1
    assert labels(["Spam", "ham", "spam.", "ham"] * 3) == ("ham", "spam")
    assert labels(["yes"] * 20) == ()
    assert labels([f"label {n}" for n in range(30)]) == ()


def test_confusion_counts_who_is_taken_for_whom() -> None:
    found = confusion(("a", "b"), ["a", "b", "?", "a"], ["a"] * 4, ["a", "a", "a", "b"])
    assert found.labels[:2] == ("a", "b")
    assert found.base == ((1, 1, 1), (1, 0, 0))
    assert found.tuned == ((3, 0, 0), (1, 0, 0))


def test_a_function_of_the_users_is_found_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def longer(answer, reference):\n    return len(answer) - len(reference)\n")
    found = metric(f"{file}:longer", [])
    assert (found.name, found.over(["abc", ""], ["a", "b"])) == ("longer", [2.0, -1.0])
    assert metric("os.path:commonprefix", []).name == "commonprefix"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:score", "cannot be imported"),
        ("json:score", "cannot be imported"),
        ("json:__doc__", "is no function"),
        ("nowhere.py:score", "cannot be imported"),
    ],
)
def test_a_function_that_is_not_there_is_named(name: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        metric(name, [])


def test_a_function_that_gives_no_number_is_named() -> None:
    with pytest.raises(SpecError, match="dumps gives no number"):
        metric("json:dumps", []).over(["a"], ["b"])


def test_no_answers_have_no_scores() -> None:
    assert scores([], []) == {}


def test_answers_and_references_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        scores(["a"], ["a", "b"])


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), min_size=1, max_size=5))
def test_any_text_is_scored_between_nought_and_one(rows: list[tuple[str, str]]) -> None:
    found = scores([answer for answer, _ in rows], [reference for _, reference in rows])
    assert all(0 <= value <= 1 for value in found.values())


def test_every_name_in_the_spec_is_a_metric() -> None:
    own = {
        "loss",
        "macro_f1",
        "preference_accuracy",
        "preference_margin",
        "judged_margin",
        "reward",
    }
    references = [json.dumps({"a": n}) for n in range(3)]
    for name in set(METRICS) - own:
        assert metric(name, references).name == name
