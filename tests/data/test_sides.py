"""The split: by content, by seed, and of the size the policy or the user says."""

from __future__ import annotations

import math
import random
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tunekit.data.rows import Completion, Row, Text, Where
from tunekit.data.sides import policy_share, split
from tunekit.errors import SpecError


def rows(*texts: str, file: str = "a") -> list[Row]:
    return [Text(text=text, where=Where(file=file, line=n)) for n, text in enumerate(texts, 1)]


def many(count: int) -> list[Row]:
    return rows(*(f"row {number}" for number in range(count)))


@pytest.mark.parametrize(
    ("count", "share"),
    [
        (1, 0),
        (19, 0),
        (20, 1 / 5),
        (199, 1 / 5),
        (200, 1 / 10),
        (1999, 1 / 10),
        (2000, 1 / 20),
        (10_000, 1 / 20),
        (10_001, 1 / 50),
        (50_000, 1 / 50),
        (50_001, 1 / 100),
        (1_000_000, 1 / 1600),
    ],
)
def test_the_policy_holds_out_what_the_number_of_rows_allows(count: int, share: float) -> None:
    assert policy_share(count) == share


def test_no_policy_holds_out_fewer_than_20_rows_of_100_nor_more_than_1000_of_any_number() -> None:
    expected = {count: count * policy_share(count) for count in range(20, 400_000, 37)}
    assert all(held >= 19.9 for count, held in expected.items() if count >= 100)
    assert all(held >= 100 for count, held in expected.items() if count >= 1000)
    assert max(expected.values()) <= 1000


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
    wanted = policy_share(len(texts)) if share is None else share
    assert max(map(held.count, held), default=0) <= len(texts) * wanted + 1e-6
    assert len(held) <= 1.5 * len(texts) * wanted + 1e-6
    assert train


def test_the_order_of_the_rows_and_their_files_make_no_difference() -> None:
    before = many(500)
    after = rows(*(row.text for row in before), file="b")  # type: ignore[union-attr]
    random.Random(1).shuffle(after)
    one = {row.digest() for row in split(before, seed=7).validation}
    other = {row.digest() for row in split(after, seed=7).validation}
    assert one == other
    assert _within(len(one), 500, 0.1)


def _within(held: int, rows: int, share: float) -> bool:
    """Allow four standard deviations of a binomial count: one in 16,000 is outside."""
    return abs(held - rows * share) <= 4 * math.sqrt(rows * share * (1 - share))


def test_another_seed_holds_out_other_rows() -> None:
    one, other = (split(many(500), seed=seed).validation for seed in (1, 2))
    assert one != other


def test_held_out_rows_are_spread_over_the_whole_of_the_data() -> None:
    lines = [row.where.line for row in split(many(4000), seed=0).validation]
    quarters = [sum(1 for line in lines if line > 4000 - 1000 * n) for n in (4, 3, 2, 1)]
    # 200 of 4000; a quarter's share is 50, with a standard deviation of 6.
    parts = [a - b for a, b in zip(quarters, [*quarters[1:], 0], strict=True)]
    assert all(20 <= part <= 80 for part in parts)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.29, 0.5, 0.9])
def test_a_share_holds_out_that_many_within_chance(share: float) -> None:
    data = many(2000)
    sizes = [len(split(data, seed=seed, share=share).validation) for seed in range(12)]
    assert all(_within(size, 2000, share) for size in sizes)
    # The mean of twelve comes closer by the root of twelve.
    assert _within(sum(sizes), 12 * 2000, share)


@pytest.mark.parametrize(("count", "share"), [(20, None), (40, 0.25), (100, 0.1), (60, 0.5)])
def test_of_few_rows_no_more_than_half_as_many_again_are_held_out_and_no_fewer_than_half(
    count: int, share: float | None
) -> None:
    wanted = count * (policy_share(count) if share is None else share)
    for seed in range(60):
        held = len(split(many(count), seed=seed, share=share).validation)
        assert wanted / 2 <= held <= 1.5 * wanted


@pytest.mark.parametrize("seed", range(40))
def test_a_share_of_few_rows_leaves_no_side_empty(seed: int) -> None:
    for count, share in ((2, 0.5), (10, 0.1), (5, 0.9)):
        sides = split(many(count), seed=seed, share=share)
        assert sides.train
        assert sides.validation


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
    sides, half = split(many(60), seed=3), split(many(60), seed=3, share=0.5)
    held = len(sides.validation)
    assert sides.policy == f"{held} of 60 rows ({held / 60:.0%}) by content hash, seed 3"
    assert half.policy == f"0.5 of 60 rows ({len(half.validation)}) by content hash, seed 3"
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
    sizes = Counter(labels)
    assert all(_within(counts[label], sizes[label], 0.1) for label in sizes)


@pytest.mark.parametrize("seed", range(20))
def test_a_label_of_few_rows_is_held_out_at_least_once_and_never_whole(seed: int) -> None:
    labels = ["billing"] * 200 + ["legal"] * 5
    every = [_completion(" ".join(_words(9, seed=n)), label, n) for n, label in enumerate(labels)]

    sides = split(every, seed=seed, share=0.1)

    for side in (sides.train, sides.validation):
        assert any(row.completion == "legal" for row in side if isinstance(row, Completion))


def _alike(count: int) -> list[Row]:
    """Give rows of which every tenth is a near copy of the one before."""
    every: list[Row] = []
    for number in range(count):
        words = _words(60, seed=number - (number % 10 == 9))
        if number % 10 == 9:
            words[number % 50] = "changed"
        every.append(_completion(" ".join(words), " ".join(_words(9, seed=-number - 1)), number))
    return every


@pytest.mark.parametrize("share", [None, 0.1, 0.4])
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_appended_rows_move_none_of_the_others(seed: int, share: float | None) -> None:
    every = _alike(1300)

    before, after = (split(every[:count], seed=seed, share=share) for count in (1000, 1300))

    held = {row.where.line for row in before.validation}
    assert held == {row.where.line for row in after.validation if row.where.line < 1000}
    assert {row.where.line for row in after.validation} - held


def test_a_copy_that_is_appended_moves_its_own_group_alone() -> None:
    every = _alike(1000)
    copies = [
        row.model_copy(update={"where": Where(file="g", line=n)})
        for n, row in enumerate(every[:300])
    ]
    changed: list[Row] = []
    for row in copies:
        assert isinstance(row, Completion)
        changed.append(row.model_copy(update={"completion": f"{row.completion} indeed"}))

    before, after = split(every, seed=5, share=0.1), split([*every, *changed], seed=5, share=0.1)

    held = {row.where.line for row in before.validation if row.where.line >= 300}
    assert held == {
        row.where.line
        for row in after.validation
        if row.where.line >= 300 and row.where.file == "f"
    }
    sides = {
        (row.where.file, row.where.line): name
        for name in ("train", "validation")
        for row in getattr(after, name)
    }
    assert all(sides["f", n] == sides["g", n] for n in range(300))
