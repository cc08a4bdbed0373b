"""Intervals of shares, quantiles, and verdicts that are right as often as they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.evaluation.labels import macro_f1_difference
from tunekit.evaluation.paired import Measure, mean_difference
from tunekit.evaluation.statistics import student, wilson
from tunekit.evaluation.verdict import Difference

SHARE = Measure("exact_match", "share", "higher")
LOSS = Measure("loss", "nats/token", "lower")
REPETITIONS = 200


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


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # Fisher and Yates, Statistical Tables, table III.
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042)],
)
def test_quantiles_of_student_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, rel=2e-3)


def test_the_interval_of_independent_rows_is_that_of_the_paired_t_test() -> None:
    # Student 1908, The Probable Error of a Mean: the sleep of ten patients under two drugs.
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = mean_difference(Measure("x", "value", "higher"), first, second, clusters=range(10))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-4)
    assert found.verdict == "improved"


def test_the_interval_of_clusters_is_that_of_their_means_where_they_are_of_one_size() -> None:
    pick = np.random.default_rng(0)
    change = np.repeat(pick.normal(0.4, 1, 30), 3) + pick.normal(0, 0.1, 90)
    clusters = np.repeat(np.arange(30), 3)
    value = Measure("x", "value", "higher")
    rows = mean_difference(value, np.zeros(90), change, clusters=list(clusters))
    means = change.reshape(30, 3).mean(1)
    groups = mean_difference(value, np.zeros(30), means, clusters=range(30))
    alone = mean_difference(value, np.zeros(90), change, clusters=range(90))
    assert rows and groups and alone
    assert (rows.low, rows.high) == pytest.approx((groups.low, groups.high), abs=1e-12)
    assert rows.high - rows.low > 1.5 * (alone.high - alone.low)


def test_every_token_weighs_the_same() -> None:
    found = mean_difference(
        LOSS, [1.0, 2.0, 3.0], [1.0, 1.0, 1.0], clusters=range(3), weights=[10, 30, 60]
    )
    assert found is not None
    assert found.base == pytest.approx((10 + 60 + 180) / 100)
    assert (found.tuned, found.items) == (1.0, 3)


def test_one_cluster_tells_nothing() -> None:
    assert mean_difference(SHARE, [0.0, 0.0], [1.0, 1.0], clusters=[4, 4]) is None


@pytest.mark.parametrize(("rows", "verdict"), [(5, "no detectable change"), (6, "improved")])
def test_a_verdict_on_right_and_wrong_needs_six_rows(rows: int, verdict: str) -> None:
    # Of five that all got right, chance alone does as much in 2 of 2^5 cases: 6 %.
    found = mean_difference(SHARE, [0.0] * rows, [1.0] * rows, clusters=range(rows))
    assert found is not None
    assert found.verdict == verdict
    assert found.low <= found.change <= found.high


def test_a_metric_that_should_fall_improves_by_falling() -> None:
    base, tuned = [2.0 + n / 100 for n in range(20)], [1.0 + n / 90 for n in range(20)]
    lower = mean_difference(LOSS, base, tuned, clusters=range(20))
    higher = mean_difference(Measure("x", "value", "higher"), base, tuned, clusters=range(20))
    assert lower and higher
    assert (lower.verdict, higher.verdict) == ("improved", "regressed")


def test_the_same_answers_twice_are_no_change() -> None:
    found = mean_difference(SHARE, [1.0, 0.0] * 10, [1.0, 0.0] * 10, clusters=range(20))
    assert found is not None
    assert (found.low, found.high, found.verdict) == (0, 0, "no detectable change")
    # Eight rows of twenty must change for six to be found in 80 % of cases.
    assert found.detectable == pytest.approx(7.9 / 20)


class Trial:
    """One evaluation of a kind, with a planted effect, from seeded numbers."""

    def __init__(self, kind: str, rows: int) -> None:
        self.kind, self.rows = kind, rows

    def __call__(self, seed: int, effect: float) -> Difference:
        found = getattr(self, self.kind)(np.random.default_rng(seed), effect)
        assert found is not None
        return found

    def right_or_wrong(self, pick: Any, effect: float) -> Difference | None:
        """Half are right; a fifth change sides by chance; the effect mends wrong ones."""
        truth = pick.random(self.rows) < 0.5
        moved, side = pick.random(self.rows) < 0.2, pick.random(self.rows) < 0.5
        base, tuned = np.where(moved, side, truth), np.where(moved, ~side, truth)
        tuned |= pick.random(self.rows) < 2 * effect
        return mean_difference(SHARE, base.astype(float), tuned.astype(float), clusters=self.alone)

    def losses(self, pick: Any, effect: float) -> Difference | None:
        """Rows of very different length; short ones are noisy."""
        tokens = np.round(np.exp(pick.normal(3, 1, self.rows))) + 1
        change = pick.normal(0, 1, self.rows) / np.sqrt(tokens) + pick.normal(0, 0.2, self.rows)
        base = np.full(self.rows, 3.0)
        return mean_difference(
            LOSS, base, base + change - effect, clusters=self.alone, weights=list(tokens)
        )

    def skewed(self, pick: Any, effect: float) -> Difference | None:
        """A few rows change by far more than the others."""
        size = pick.exponential(1, self.rows) * pick.exponential(1, self.rows)
        change = size * np.where(pick.random(self.rows) < 0.5, 1, -1)
        base = np.full(self.rows, 3.0)
        return mean_difference(LOSS, base, base + change - effect, clusters=self.alone)

    def copies(self, pick: Any, effect: float) -> Difference | None:
        """Every row has a near copy."""
        half = self.rows // 2
        change = np.repeat(pick.normal(0, 1, half), 2) + pick.normal(0, 0.3, 2 * half)
        base = np.full(2 * half, 3.0)
        clusters = [int(n) for n in np.repeat(np.arange(half), 2)]
        return mean_difference(LOSS, base, base + change - effect, clusters=clusters)

    def macro_f1(self, pick: Any, effect: float) -> Difference | None:
        """Three labels, a third right by knowledge, the rest guessed."""
        names = ["a", "b", "c"]
        truth = pick.integers(0, 3, self.rows)

        def said(share: float) -> list[str]:
            known, guess = pick.random(self.rows) < share, pick.integers(0, 4, self.rows)
            return [(*names, "?")[n] for n in np.where(known, truth, guess)]

        references = [names[n] for n in truth]
        base, tuned = said(0.3), said(min(1.0, 0.3 + effect))
        return macro_f1_difference(names, base, tuned, references, clusters=self.alone)

    @property
    def alone(self) -> range:
        return range(self.rows)


KINDS = ("right_or_wrong", "losses", "skewed", "copies", "macro_f1")
SIZES = ((20, ()), (50, ()), (200, pytest.mark.long))
TRIALS = [
    pytest.param(Trial(kind, rows), marks=marks, id=f"{kind}-{rows}")
    for kind in KINDS
    for rows, marks in SIZES
]


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS)
def test_verdicts_are_right_as_often_as_they_say(trial: Trial) -> None:
    """Base against base, and an effect of twice what is said to be found in 80 % of cases."""
    nothing = [trial(seed, 0.0) for seed in range(REPETITIONS)]
    wrong = sum(found.verdict != "no detectable change" for found in nothing)
    planted = [trial(n, 2 * found.detectable) for n, found in enumerate(nothing)]
    hits = sum(found.verdict == "improved" for found in planted)
    assert wrong <= (0.05 + 0.03) * REPETITIONS
    assert hits >= 0.8 * REPETITIONS


def test_macro_f1_is_the_mean_of_the_f1_of_each_label() -> None:
    references = ["a"] * 6 + ["b"] * 3 + ["c"] * 3
    base = ["a"] * 6 + ["a", "b", "b"] + ["a", "a", "?"]
    found = macro_f1_difference("abc", base, references, references, clusters=range(12))
    assert found is not None
    # a: 6 right, 3 too many; b: 2 of 3; c: none of 3.
    assert found.base == pytest.approx((12 / 15 + 4 / 5 + 0) / 3)
    assert found.tuned == 1.0


def test_nothing_of_a_verdict_is_infinite() -> None:
    found = mean_difference(LOSS, [1.0, 2.0], [0.5, 2.5], clusters=range(2))
    assert found is not None
    assert all(math.isfinite(value) for value in (found.low, found.high, found.detectable))
