"""How much is measured where the spec leaves it open: so much that it costs little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunekit.data.tokens import Tokens

_BACKWARD = 3.0
"""A trained token costs so many times what one that is only read does: in the demo, by our passes,
where the base is frozen and few rows are trained on at once."""
_FORGOTTEN, _BY_HEART, _WATCHED = 0.03, 0.02, 0.03
"""Of the cost of training, for what was forgotten, what was learnt by heart, and the held-out loss
on the way."""
_GENERAL = 360
"""Tokens that one general passage and one prompt cost: read by both models, written by one."""
_CHECKPOINTS = 5
_LEAST, _MOST_GENERAL, _MOST_PROBED = 16, 64, 50
_LEAST_ANSWERS, _MOST_ANSWERS = 16, 200
_ROOM, _LONGEST = 1.25, 512


def answers(rows_seen: float) -> int:
    """Give how many prompts are answered: a tenth of the rows trained on, 16 to 200."""
    return min(_MOST_ANSWERS, max(_LEAST_ANSWERS, round(rows_seen / 10)))


def general(wanted: bool | str, rows_seen: float, held_out: Sequence[Tokens]) -> int:
    """Give how many general passages and prompts are measured: 0, or 16 to 64."""
    if wanted is not True and not wanted:
        return 0
    if wanted is True:
        return _MOST_GENERAL
    units = _FORGOTTEN * _trained(rows_seen, held_out) / _GENERAL
    return min(_MOST_GENERAL, max(_LEAST, int(units)))


def probed(wanted: bool | str, rows_seen: float, held_out: Sequence[Tokens]) -> int:
    """Give how many training rows are looked at: 0, or 16 to 50."""
    if not wanted:
        return 0
    if wanted is True:
        return _MOST_PROBED
    rows = _BY_HEART * _trained(rows_seen, held_out) / max(1.0, _mean(held_out))
    return min(_MOST_PROBED, max(_LEAST, int(rows)))


def watched(rows_seen: float) -> int:
    """Give how many held-out rows are measured at each of about five checkpoints: 16 or more."""
    return max(_LEAST, int(_WATCHED * _BACKWARD * rows_seen / _CHECKPOINTS))


def length(tokenizer: Any, references: Sequence[str]) -> int:
    """Give how long an answer may be: a quarter more than the longest reference, at most 512."""
    if not references:
        return 1
    longest = max(
        len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in references
    )
    return min(_LONGEST, int(_ROOM * longest) + 8)


def _trained(rows_seen: float, held_out: Sequence[Tokens]) -> float:
    """Estimate the cost of training, in tokens that are only read."""
    return _BACKWARD * rows_seen * _mean(held_out)


def _mean(rows: Sequence[Tokens]) -> float:
    return sum(len(row.input_ids) for row in rows) / len(rows) if rows else 128.0
