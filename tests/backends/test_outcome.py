"""What became of a request, and whether it is sent again: tables, without any I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.backends.outcome import Outcome, Retry, judge, may_repeat, retry_after

REPEATED = {
    (Outcome.NOT_SENT, True): True,
    (Outcome.NOT_SENT, False): True,
    (Outcome.THROTTLED, True): True,
    (Outcome.THROTTLED, False): True,
    (Outcome.AMBIGUOUS, True): True,
    (Outcome.AMBIGUOUS, False): False,
    (Outcome.REJECTED, True): False,
    (Outcome.REJECTED, False): False,
    (Outcome.OK, True): False,
    (Outcome.OK, False): False,
}


@pytest.mark.parametrize(("outcome", "idempotent"), REPEATED)
def test_only_what_can_do_no_harm_is_sent_again(outcome: Outcome, idempotent: bool) -> None:
    again = REPEATED[outcome, idempotent]
    assert may_repeat(outcome, idempotent=idempotent) is again
    wait = Retry().wait(outcome, idempotent=idempotent, attempt=1, left=60.0)
    assert (wait is not None) is again


def test_the_table_holds_every_outcome() -> None:
    assert {outcome for outcome, _ in REPEATED} == set(Outcome)


def test_every_status_has_one_outcome() -> None:
    expected = {
        **dict.fromkeys(range(100, 200), Outcome.AMBIGUOUS),
        **dict.fromkeys(range(200, 300), Outcome.OK),
        **dict.fromkeys(range(300, 500), Outcome.REJECTED),
        **dict.fromkeys(range(500, 600), Outcome.AMBIGUOUS),
        HTTPStatus.TOO_MANY_REQUESTS: Outcome.THROTTLED,
        HTTPStatus.REQUEST_TIMEOUT: Outcome.AMBIGUOUS,
        HTTPStatus.CONFLICT: Outcome.AMBIGUOUS,
    }
    assert {status: judge(status) for status in range(100, 600)} == expected


@pytest.mark.parametrize(
    ("attempt", "chance", "expected"),
    [(1, 0.5, 1.0), (2, 0.5, 2.0), (3, 0.5, 4.0), (4, 0.5, 5.0), (1, 0.0, 0.0), (2, 0.25, 1.0)],
)
def test_the_wait_doubles_up_to_a_limit_and_is_drawn_below_it(
    attempt: int, chance: float, expected: float
) -> None:
    retry = Retry(attempts=10, pause=2.0, longest=10.0)
    wait = retry.wait(Outcome.NOT_SENT, idempotent=False, attempt=attempt, left=60.0, chance=chance)
    assert wait == expected


@pytest.mark.parametrize(
    ("asked", "left", "expected"),
    [(None, 60.0, 1.0), (0.0, 60.0, 1.0), (30.0, 60.0, 30.0), (120.0, 60.0, None), (60, 60, None)],
)
def test_the_service_is_given_the_time_it_asks_for_or_is_not_asked_again(
    asked: float | None, left: float, expected: float | None
) -> None:
    retry = Retry(pause=2.0)
    wait = retry.wait(
        Outcome.THROTTLED, idempotent=False, attempt=1, left=left, asked=asked, chance=0.5
    )
    assert wait == expected


def test_there_is_an_end_of_attempts_and_of_time() -> None:
    retry = Retry(attempts=3)
    assert retry.wait(Outcome.NOT_SENT, idempotent=True, attempt=2, left=60.0) is not None
    assert retry.wait(Outcome.NOT_SENT, idempotent=True, attempt=3, left=60.0) is None
    assert retry.wait(Outcome.NOT_SENT, idempotent=True, attempt=1, left=0.0) is None


def test_the_jitter_is_drawn_anew_each_time() -> None:
    waits = {
        Retry().wait(Outcome.NOT_SENT, idempotent=True, attempt=3, left=60.0) for _ in range(20)
    }
    assert len(waits) > 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("", None), (None, None)]
)
def test_retry_after_is_read_in_seconds(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, None) == seconds


@pytest.mark.parametrize("skew", [timedelta(days=-400), timedelta(0), timedelta(hours=5)])
def test_a_date_counts_from_the_clock_of_the_service_not_from_ours(skew: timedelta) -> None:
    theirs = datetime.now(UTC) + skew
    later = format_datetime(theirs + timedelta(seconds=90), usegmt=True)
    assert retry_after(later, format_datetime(theirs, usegmt=True)) == 90.0


def test_a_date_that_is_over_asks_for_no_wait() -> None:
    now = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert retry_after("Wed, 21 Oct 2026 07:00:00 GMT", now) == 0.0


def test_a_date_without_a_clock_beside_it_counts_from_ours() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after(later, None) == pytest.approx(60.0, abs=5.0)


HEADERS = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,12} \d\d:\d\d:\d\d [+-]?\w{1,6}"),
    st.sampled_from(["²", "٣", "Mon, 01 Jan 99999999999999 00:00:00 GMT", "1e3", "-5", "nan"]),
)


@given(header=HEADERS, date=HEADERS)
def test_no_text_in_the_headers_breaks_the_reading(header: str, date: str) -> None:
    wait = retry_after(header, date)
    assert wait is None or wait >= 0.0
