"""Numbers, axes and points, against what a reader would write by hand."""

from __future__ import annotations

import math

import pytest

from tests.report import made
from tunekit.evaluation.labels import Confusion
from tunekit.events import MetricsEvent
from tunekit.report import figures
from tunekit.report.answers import answers, telling
from tunekit.report.chart import Line, drawn, ticks
from tunekit.report.labels import Label, by_label
from tunekit.report.series import POINTS, series, thinned
from tunekit.report.spectra import decay, used
from tunekit.report.strip import Strip


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (5.326, "5.33"),
        (905.2, "905"),
        (61440, "61,440"),
        (0.00012, "1.2e\u22124"),
        (-1.5, "\u22121.5"),
        (2.5e9, "2.5e9"),
        (math.inf, "not finite"),
        (None, "not finite"),
    ],
)
def test_a_number_has_the_digits_that_matter(value: float | None, written: str) -> None:
    assert figures.number(value) == written


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [(0.745, "share", "74.5 %"), (2.309, "nats/token", "2.31"), (15.62, "score", "15.6")],
)
def test_a_value_is_written_in_its_unit(value: float, unit: str, written: str) -> None:
    assert figures.measured(value, unit) == written


def test_a_change_has_a_sign_and_a_share_changes_by_points() -> None:
    assert figures.change(0.72, "share") == "+72.0 pts"
    assert figures.change(-1.7, "nats/token") == "\u22121.70"
    assert figures.between(-0.11, 0.07, "score") == "\u22120.11 to +0.07"


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.5, 2.1, [0.5, 1.0, 1.5, 2.0, 2.5]),
        (0, 1e-3, [0, 2e-4, 4e-4, 6e-4, 8e-4, 1e-3]),
        (3, 3, [1, 2, 3, 4, 5]),
    ],
)
def test_an_axis_has_a_few_round_ticks(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == wanted


def test_a_thinned_line_keeps_its_ends_and_extremes() -> None:
    points = [(float(n), math.sin(n / 50)) for n in range(5000)]
    points[3217] = (3217.0, 9.0)

    kept = thinned(points)

    assert len(kept) <= POINTS
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert (3217.0, 9.0) in kept
    assert kept == sorted(kept)
    assert thinned(points[:10]) == points[:10]


def test_a_step_taken_twice_counts_as_it_was_taken_last() -> None:
    events = [
        MetricsEvent(step=1, metrics={"loss": 3.0}),
        MetricsEvent(step=2, metrics={"loss": 2.0, "grad_norm": math.nan}),
        MetricsEvent(step=2, metrics={"loss": 2.5}),
    ]

    assert series(events) == {"loss": [(1.0, 3.0), (2.0, 2.5)]}


def test_each_dot_says_what_it_stands_for() -> None:
    picture = drawn("loss", [Line("a < b", [(1, 2.0), (2, 1.5)]), Line("flat", [(1, 1.0)], 1)])

    assert "<title>a &lt; b: 1.5 at step 2</title>" in picture
    assert "<title>flat: 1 at step 1</title>" in picture
    assert picture.count("<circle") == 3


def test_answers_are_ranked_by_what_they_gained() -> None:
    found = answers(made.comparison())
    gains, losses, others = telling(made.comparison())

    # The base answers the sixth right, the tuned model the sixth and the tenth wrong.
    assert [answer.gain for answer in found].count(1.0) == 10
    assert [answer.gain for answer in gains] == [1.0, 1.0, 1.0]
    assert [answer.prompt for answer in losses] == [
        "Where is order 1005? I have waited for 7 days."
    ]
    assert others == []


def test_labels_are_counted_row_by_row() -> None:
    found = by_label(
        Confusion(
            labels=("late", "lost", "(something else)"),
            base=((1, 1, 2), (0, 0, 2)),
            tuned=((3, 0, 1), (1, 1, 0)),
        )
    )

    assert found == [
        Label("late", 4, 0.25, 0.75, "(something else)", 1),
        Label("lost", 2, 0.0, 0.5, "late", 1),
    ]


def test_the_spectra_of_all_layers_become_three_lines() -> None:
    lines = {line.name: line.points for line in decay(made.rank(layers=3, size=4))}

    # The ratios of q_proj are 0.55, 0.57, 0.59, of v_proj 0.08 less.
    assert lines["steepest"][1] == (2.0, pytest.approx(0.47))
    assert lines["flattest"][1] == (2.0, pytest.approx(0.59))
    assert lines["median"][1] == (2.0, pytest.approx((0.51 + 0.55) / 2))
    assert {line.name: len(line.points) for line in used(made.rank(layers=3))} == {
        "q_proj": 3,
        "v_proj": 3,
    }


def test_a_strip_is_symmetric_about_no_change() -> None:
    strip = Strip.of(made.difference("loss", "nats/token", "lower", (2.0, 1.0), 0.25))

    assert strip.zero == 80
    assert strip.low < strip.value < strip.high < strip.zero
    assert strip.shade is not None
    assert 80 - strip.shade[0] == pytest.approx(strip.shade[1] - 80)
