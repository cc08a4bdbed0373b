"""The split: by content, by seed, and of the size the policy or the user says."""

from __future__ import annotations

import random
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tunekit.data.rows import Completion, Row, Text, Where
from tunekit.data.sides import policy_size, split
from tunekit.errors import SpecError


def rows(*texts: str, file: str = "a") -> list[Row]:
    return [Text(text=text, where=Where(file=file, line=n)) for n, text in enumerate(texts, 1)]


def many(count: int) -> list[Row]:
    return rows(*(f"row {number}" for number in range(count)))


@pytest.mark.parametrize(
    ("count", "held"),
    [
        (1, 0),
        (19, 0),
        (20, 4),
        (99, 19),
        (100, 20),
        (199, 20),
        (500, 50),
        (999, 99),
        (1000, 100),
        (2000, 100),
        (10_000, 500),
        (10_001, 200),
        (40_000, 800),
        (1_000_000, 1000),
    ],
)
def test_the_policy_holds_out_what_the_number_of_rows_allows(count: int, held: int) -> None:
    assert policy_size(count) == held


@given(
    texts=some.lists(some.sampled_from(string.ascii_letters), min_size=20, max_size=120),
    seed=some.integers(0, 2**32 - 1),
    share=some.none() | some.floats(0.2, 0.8),
)
@settings(max_examples=60, deadline=None)
def test_equal_rows_stay_together_and_no_row_is_lost(
    texts: list[str], seed: int, share: float | None
) -> None:
    try:
        sides = split(rows(*texts), seed=seed, share=share)
    except SpecError:
        assert share is not None
        return
    train = [row.text for row in sides.train]  # type: ignore[union-attr]
    held = [row.text for row in sides.validation]  # type: ignore[union-attr]
    assert sorted(train + held) == sorted(texts)
    assert not set(train) & set(held)
    assert train == [text for text in texts if text in set(train)]
    size = policy_size(len(texts)) if share is None else len(texts) * share
    assert len(held) <= size + 1e-6


def test_the_order_of_the_rows_and_their_files_make_no_difference() -> None:
    before = many(500)
    after = rows(*(row.text for row in before), file="b")  # type: ignore[union-attr]
    random.Random(1).shuffle(after)
    one = {row.digest() for row in split(before, seed=7).validation}
    other = {row.digest() for row in split(after, seed=7).validation}
    assert one == other
    assert len(one) == 50


def test_another_seed_holds_out_other_rows() -> None:
    one, other = (split(many(500), seed=seed).validation for seed in (1, 2))
    assert one != other


def test_held_out_rows_are_spread_over_the_whole_of_the_data() -> None:
    lines = [row.where.line for row in split(many(4000), seed=0).validation]
    quarters = [sum(1 for line in lines if line > 4000 - 1000 * n) for n in (4, 3, 2, 1)]
    # 200 of 4000; a quarter's share is 50, with a standard deviation of 6.
    parts = [a - b for a, b in zip(quarters, [*quarters[1:], 0], strict=True)]
    assert all(20 <= part <= 80 for part in parts)


@pytest.mark.parametrize(("count", "share", "held"), [(100, 0.29, 29), (10, 0.1, 1), (30, 0.1, 3)])
def test_a_share_holds_out_exactly_that_many(count: int, share: float, held: int) -> None:
    assert len(split(many(count), seed=0, share=share).validation) == held


def test_a_share_of_less_than_a_row_names_the_least_that_works() -> None:
    with pytest.raises(SpecError, match=r"0\.1 of 5 rows is less than one row; use at least 0\.2"):
        split(many(5), seed=0, share=0.1)


def test_one_row_cannot_be_split() -> None:
    with pytest.raises(SpecError, match="1 row cannot be split; set validation: null"):
        split(many(1), seed=0, share=0.5)


def test_a_share_that_equal_rows_do_not_fit_into_is_refused() -> None:
    with pytest.raises(SpecError, match="these repeat too often"):
        split(rows(*["same"] * 50), seed=0, share=0.5)


def test_the_policy_says_what_it_did() -> None:
    assert split(many(60), seed=3).policy == "12 of 60 rows (20%) by content hash, seed 3"
    assert (
        split(many(60), seed=3, share=0.5).policy == "0.5 of 60 rows (30) by content hash, seed 3"
    )
    assert "too few" in split(many(19), seed=3).policy
    assert "too much alike" in split(rows(*["same"] * 50), seed=3).policy


def _words(count: int, *, seed: int) -> list[str]:
    pick = random.Random(seed)
    return ["".join(pick.choices("abcdefghiklmnoprstu", k=6)) for _ in range(count)]


def _completion(prompt: str, completion: str, line: int) -> Completion:
    return Completion(prompt=prompt, completion=completion, where=Where(file="f", line=line))


def test_near_copies_stand_on_one_side() -> None:
    every: list[Row] = []
    for number in range(100):
        words = _words(120, seed=number)
        every.append(_completion(" ".join(words), "yes", 2 * number))
        words[number % 60] = "changed"
        every.append(_completion(" ".join(words), "yes", 2 * number + 1))

    sides = split(every, seed=1)

    held = {row.where.line // 2 for row in sides.validation}
    kept = {row.where.line // 2 for row in sides.train}
    assert sides.validation
    assert not held & kept


def test_every_label_gives_its_share() -> None:
    labels = ["billing"] * 800 + ["refund"] * 150 + ["legal"] * 50
    every = [_completion(" ".join(_words(9, seed=n)), label, n) for n, label in enumerate(labels)]

    sides = split(every, seed=3, share=0.1)

    counts = Counter(row.completion for row in sides.validation if isinstance(row, Completion))
    assert counts == {"billing": 80, "refund": 15, "legal": 5}


def test_appended_rows_move_few_of_the_others() -> None:
    every = [
        _completion(" ".join(_words(9, seed=n)), " ".join(_words(9, seed=-n - 1)), n)
        for n in range(2200)
    ]

    before = {row.where.line for row in split(every[:2000], seed=5, share=0.1).validation}
    after = {row.where.line for row in split(every, seed=5, share=0.1).validation}

    moved = before - after | {line for line in after if line < 2000} - before
    assert len(moved) <= 0.1 * len(before)
