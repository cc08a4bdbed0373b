"""The findings and figures of a comparison in words, for whatever prints them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunekit.evaluation.statistics import wilson
from tunekit.evaluation.verdict import Difference, Forgetting, Signal

if TYPE_CHECKING:
    from tunekit.evaluation.compare import Comparison

Finding = tuple[str, str, list[str]]
"""A sentence, its tone (`good`, `warn`, `bad`), and what else to say about it."""

NAMES = {
    "loss": "held-out loss",
    "preference_accuracy": "chosen is likelier",
    "preference_margin": "margin of the chosen",
    "general_loss": "loss on general text",
    "divergence": "divergence from the base",
    "agreement": "agreement with the base",
}
_TONES = {
    "improved": "good",
    "no detectable change": "warn",
    "regressed": "bad",
    "pass": "good",
    "warn": "warn",
    "fail": "bad",
    "fine": "good",
    "too small": "warn",
    "too large": "warn",
}


def verdicts(comparison: Comparison) -> list[Finding]:
    """Say what was found, what matters most first."""
    return [
        *_learnt(comparison),
        *_forgotten(comparison.forgetting),
        *_by_heart(comparison),
        *_rank(comparison),
        *_judge(comparison),
        *(("note: " + note, "warn", []) for note in comparison.notes),
        *_gate(comparison),
    ]


def figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """List every figure: its name, `before -> after`, and what it rests on."""
    rows = [row(difference) for difference in comparison.differences]
    known = {difference.name for difference in comparison.differences}
    base, tuned = comparison.base, comparison.tuned
    if tuned.tokens and "loss" not in known:
        rows.append(("held-out loss", *_change(base.loss, tuned.loss, f"{tuned.tokens:,} tokens")))
    if tuned.tokens:
        rows.append(("perplexity", *_change(base.perplexity, tuned.perplexity)))
    for name, score in comparison.scores.items():
        if name not in known and score.proportion:
            rows.append((name, *_proportion(score.base, score.tuned, score.count)))
        elif name not in known:
            rows.append((name, f"{score.base:.2f} -> {score.tuned:.2f}", f"n = {score.count}"))
    gained = comparison.preference_accuracy
    if gained is not None:
        pairs = len(base.pairs)
        note = f"n = {pairs}; 95 %: {_interval(gained, pairs)}"
        rows.append(("chosen gained more", percent(gained), note))
    return rows


def row(found: Difference) -> tuple[str, str, str]:
    """Write a difference: its name, `before -> after`, and the interval of the change."""
    sides = f"{_value(found.base, found.unit)} -> {_value(found.tuned, found.unit)}"
    name = NAMES.get(found.name, found.name)
    return name, sides, f"{interval(found)}, n = {found.items}"


def interval(found: Difference) -> str:
    """Write a change with the 95 % interval around it, in points where it is a share."""
    scale, unit = (100, " points") if found.unit == "share" else (1, "")
    digits = 0 if found.unit == "share" else _digits(found.low, found.high)
    change, low, high = (scale * value for value in (found.change, found.low, found.high))
    return f"{change:+.{digits}f}{unit} (95 %: {low:+.{digits}f} to {high:+.{digits}f})"


def signal(found: Signal) -> str:
    """Write a sign of forgetting with its limits."""
    scale, unit = (100, " %") if found.unit == "share" else (1, f" {found.unit}")
    digits = 0 if found.unit == "share" else 3
    value, low, high, warn, fail = (
        f"{scale * number:.{digits}f}"
        for number in (found.value, found.low, found.high, found.warn, found.fail)
    )
    beyond = "from" if found.better == "lower" else "below"
    return (
        f"{NAMES.get(found.name, found.name)}: {value}{unit} (95 %: {low} to {high}), "
        f"{found.status}; warn {beyond} {_short(warn)}, fail {beyond} {_short(fail)}"
    )


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.0f} %"


def _learnt(comparison: Comparison) -> Iterator[Finding]:
    for found in comparison.differences[:1]:
        name, sides, change = row(found)
        notes = [found.note] if found.note else []
        if found.verdict == "no detectable change" and not found.note:
            seen = (
                f"{100 * found.detectable:.0f} points"
                if found.unit == "share"
                else f"{found.detectable:.2g}"
            )
            notes = [f"a change of {seen} would be found in 80 % of such evaluations"]
        yield f"{found.verdict}: {name} {sides}, {change}", _TONES[found.verdict], notes


def _forgotten(found: Forgetting | None) -> Iterator[Finding]:
    if found is not None:
        notes = [signal(sign) for sign in found.signals]
        yield f"forgetting: {found.status}", _TONES[found.status], [*notes, *found.advice]


def _by_heart(comparison: Comparison) -> Iterator[Finding]:
    if (found := comparison.overfitting) is not None:
        title = (
            f"overfitting: {found.status} (loss {found.train_loss:.2f} on training rows, "
            f"{found.held_out_loss:.2f} held out; {percent(found.verbatim_train)} of "
            f"{found.probed} answers by heart)"
        )
        yield title, _TONES[found.status], [*found.advice]


def _rank(comparison: Comparison) -> Iterator[Finding]:
    if (found := comparison.rank) is not None:
        yield f"rank: {found.verdict}", _TONES[found.verdict], [*found.advice]


def _judge(comparison: Comparison) -> Iterator[Finding]:
    if (found := comparison.judge) is not None:
        tone = "good" if found.won > found.lost else "warn" if found.won == found.lost else "bad"
        sure = f"both orders agree on {percent(found.consistency)}"
        notes = [f"{sure}; {found.unread} verdicts could not be read"] if found.unread else [sure]
        if found.won_alike is not None:
            alike = f"{found.alike} pairs of like length"
            notes.append(f"of {alike}, {percent(found.won_alike)} won, ties by half")
        said = f"judge {found.model}: won {found.won}, lost {found.lost}, tied {found.tied}"
        yield said, tone, notes


def _gate(comparison: Comparison) -> Iterator[Finding]:
    if (found := comparison.gate) is not None:
        word = "passed" if found.passed else "not passed"
        yield f"gate: {word}", "good" if found.passed else "bad", [*found.reasons]


def _change(base: float | None, tuned: float | None, note: str = "") -> tuple[str, str]:
    written = " -> ".join(_number(value) for value in (base, tuned))
    if base is not None and tuned is not None and base > 0:
        written += f" ({100 * (tuned / base - 1):+.1f} %)"
    return written, note


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:.2f}" if value < 1000 else f"{value:.3g}"


def _value(value: float, unit: str) -> str:
    return percent(value) if unit == "share" else f"{value:.2f}"


def _proportion(base: float, tuned: float, count: int) -> tuple[str, str]:
    intervals = " -> ".join(_interval(share, count) for share in (base, tuned))
    return f"{percent(base)} -> {percent(tuned)}", f"n = {count}; 95 %: {intervals}"


def _interval(share: float, count: int) -> str:
    low, high = wilson(round(share * count), count)
    return f"{100 * low:.0f}-{100 * high:.0f} %"


def _digits(low: float, high: float) -> int:
    return 2 if max(abs(low), abs(high)) >= 0.1 else 4


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
