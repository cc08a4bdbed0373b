"""Whether a run may be shipped, by what its spec asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tunekit.evaluation.figures import row
from tunekit.evaluation.verdict import Gate, Status

if TYPE_CHECKING:
    from tunekit.evaluation.compare import Comparison

_VERDICTS = ("regressed", "no detectable change", "improved")
_STATUS: tuple[Status, ...] = ("fail", "warn", "pass")


def passes(found: Comparison | None, wanted: Mapping[str, Any]) -> Gate:
    """Hold a comparison against the conditions of `evaluation.gate`."""
    reasons = tuple(reason for _, reason in conditions(found, wanted) if reason)
    return Gate(passed=not reasons, reasons=reasons)


def conditions(found: Comparison | None, wanted: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each condition that is asked, and why it does not hold; nothing where it holds.

    What was not measured does not hold.
    """
    if found is None:
        yield "comparison", _NOTHING
        return
    if (least := wanted.get("verdict")) is not None:
        yield "verdict", _verdict(found, least)
    for name in ("forgetting", "overfitting"):
        if (least := wanted.get(name)) is not None:
            yield name, _status(name, getattr(found, name), least)
    for word, key in (("least", "minimum"), ("most", "maximum")):
        limits: dict[str, float] = wanted.get(key) or {}
        for name, limit in limits.items():
            value = _value(found, name)
            holds = value is not None and (value >= limit if word == "least" else value <= limit)
            why = f"{name} is {_said(value)}; at {word} {limit:g} is asked for"
            yield f"{name} at {word} {limit:g}", "" if holds else why


_NOTHING = "base and tuned model were not compared; the gate needs held-out rows (validation)"


def _verdict(found: Comparison, least: str) -> str:
    if not found.differences:
        return "there are too few held-out rows for a verdict"
    first = found.differences[0]
    if _VERDICTS.index(first.verdict) >= _VERDICTS.index(least):
        return ""
    name, sides, change = row(first)
    return f"{name} says {first.verdict!r} ({sides}, {change}); {least!r} is asked for"


def _status(name: str, part: Any, least: Status) -> str:
    if part is None:
        return f"{name} was not measured; {least!r} is asked for"
    if _STATUS.index(part.status) >= _STATUS.index(least):
        return ""
    return f"{name} says {part.status!r}; {least!r} is asked for"


def _value(found: Comparison, name: str) -> float | None:
    """Give a figure of the tuned model."""
    for difference in found.differences:
        if difference.name == name:
            return difference.tuned
    if name in ("loss", "perplexity"):
        value: float | None = getattr(found.tuned, name)
        return value
    return found.scores[name].tuned if name in found.scores else None


def _said(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
