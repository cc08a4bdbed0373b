"""The automatic weights of wanted and unwanted answers, by the rule of KTO's authors."""

from __future__ import annotations

from tunekit.planning.picks import Picks, auto
from tunekit.planning.plan import Change

LEAST, MOST = 1.0, 4 / 3
"""Wanted to unwanted answers, each times its weight (arXiv 2402.01306, equation 8; HALOs)."""
_SOURCE = "arXiv 2402.01306; ContextualAI/HALOs"


def desirable_weight(picks: Picks) -> Change:
    """Pick the weight of wanted answers; more than 1 where they are the rarer kind."""
    wanted, unwanted = counts(picks)
    other = picks.value("objective.undesirable_weight")
    ratio = _ratio(wanted, unwanted if other == "auto" else unwanted * other)
    used = 1.0
    if ratio is not None and ratio < LEAST:
        used = LEAST / ratio
    elif ratio is not None and ratio > MOST and other != "auto":
        used = MOST / ratio
    return _change("objective.desirable_weight", used, wanted, unwanted)


def undesirable_weight(picks: Picks) -> Change:
    """Pick the weight of unwanted answers; more than 1 where they are the rarer kind."""
    wanted, unwanted = counts(picks)
    ratio = _ratio(wanted * picks.value("objective.desirable_weight"), unwanted)
    used = 1.0
    # The weight of the others is rounded.
    if ratio is not None and not LEAST - 1e-3 <= ratio <= MOST + 1e-3:
        used = ratio / min(max(ratio, LEAST), MOST)
    return _change("objective.undesirable_weight", used, wanted, unwanted)


def counts(picks: Picks) -> tuple[int, int]:
    """Count the answers of both kinds; of a pair, one of each."""
    rows = picks.profile.rows
    if picks.profile.kind == "preference":
        return rows, rows
    return picks.profile.wanted, rows - picks.profile.wanted


def _ratio(wanted: float, unwanted: float) -> float | None:
    return wanted / unwanted if wanted and unwanted else None


def _change(name: str, used: float, wanted: int, unwanted: int) -> Change:
    reason = (
        f"{wanted:,} answers are wanted and {unwanted:,} are not; times their weights, wanted to "
        "unwanted should lie between 1:1 and 4:3"
    )
    return auto(name, float(f"{used:.4g}"), reason, _SOURCE)
