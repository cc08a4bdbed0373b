"""What became of a request, and whether to send it again: a pure function, apart from all I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum


class Outcome(Enum):
    """What is known of a request when its call is over."""

    OK = "ok"
    NOT_SENT = "not sent"
    """The connection never stood: nothing can have been carried out."""
    REJECTED = "rejected"
    """Understood and refused."""
    THROTTLED = "throttled"
    """Refused for now; not carried out."""
    AMBIGUOUS = "ambiguous"
    """Sent, and no answer that can be believed: it may have been carried out."""


@dataclass(frozen=True)
class Retry:
    """How often, and how long to wait in between.

    Twice the time after each attempt, with full jitter: Brooker 2015, "Exponential Backoff And
    Jitter", AWS Architecture Blog.
    """

    attempts: int = 4
    pause: float = 0.5
    longest: float = 20.0

    def wait(
        self,
        outcome: Outcome,
        *,
        idempotent: bool,
        attempt: int,
        left: float,
        asked: float | None = None,
        chance: float | None = None,
    ) -> float | None:
        """Give the seconds to wait before the next attempt, or None when there is none.

        Args:
            outcome: of the attempt that is over.
            idempotent: whether carrying it out twice is the same as once.
            attempt: its number, from 1.
            left: seconds to the deadline.
            asked: seconds that the service asks for (`Retry-After`).
            chance: a number in [0, 1) for the jitter; None draws one.
        """
        if not may_repeat(outcome, idempotent=idempotent) or attempt >= self.attempts:
            return None
        draw = random.random() if chance is None else chance
        wait = min(self.longest, self.pause * 2 ** (attempt - 1)) * draw
        if asked is not None:
            wait = max(wait, asked)
        return wait if wait < left else None


def may_repeat(outcome: Outcome, *, idempotent: bool) -> bool:
    """Say whether sending it again can do no harm."""
    if outcome in (Outcome.NOT_SENT, Outcome.THROTTLED):
        return True
    return outcome is Outcome.AMBIGUOUS and idempotent


def judge(status: int) -> Outcome:
    """Judge an answer by its status; 408 and 409 leave open whether it was carried out."""
    if 200 <= status < 300:
        return Outcome.OK
    if status == 429:
        return Outcome.THROTTLED
    if status in (408, 409) or status >= 500 or status < 200:
        return Outcome.AMBIGUOUS
    return Outcome.REJECTED


def retry_after(header: str | None, date: str | None) -> float | None:
    """Read `Retry-After`, seconds or a date; a date counts from the service's own clock."""
    if not header:
        return None
    if header.isascii() and header.strip().isdigit():
        return float(header)
    then, now = _parsed(header), _parsed(date) or datetime.now(timezone.utc)
    return None if then is None else max(0.0, (then - now).total_seconds())


def _parsed(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return found.replace(tzinfo=found.tzinfo or timezone.utc) if found else None
