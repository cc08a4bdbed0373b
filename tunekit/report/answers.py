"""Answers side by side: those that gained most, and those that lost most."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.evaluation.compare import Comparison

SHOWN = 3
"""Of gains, and of losses."""
LONGEST = 4000
"""Characters of an answer; the middle of what is longer is left out."""


@dataclass(frozen=True)
class Answer:
    """One prompt, and what was said to it."""

    prompt: str
    reference: str
    base: str
    tuned: str
    gain: float
    """Score of the tuned answer minus that of the base's."""


def answers(comparison: Comparison) -> list[Answer]:
    """Give every answer with what it gained by the metric that tells most, as prompts stand."""
    rows = zip(
        comparison.prompts,
        comparison.references,
        comparison.base.answers,
        comparison.tuned.answers,
        _gains(comparison),
        strict=False,
    )
    return [
        Answer(_cut(prompt), _cut(reference), _cut(base), _cut(tuned), gain)
        for prompt, reference, base, tuned, gain in rows
    ]


def _gains(comparison: Comparison) -> list[float]:
    """Give tuned minus base for each answer; 0 where nothing scores it."""
    scored = next(iter(comparison.items.values()), None)
    if scored is None:
        return [0.0] * len(comparison.prompts)
    return [tuned - base for base, tuned in scored]


def telling(comparison: Comparison) -> tuple[list[Answer], list[Answer], list[Answer]]:
    """Pick the largest gains, the largest losses, and, where there is neither, the first ones."""
    found = answers(comparison)
    ranked = sorted(found, key=lambda answer: -answer.gain)
    gains = [answer for answer in ranked if answer.gain > 0][:SHOWN]
    losses = [answer for answer in reversed(ranked) if answer.gain < 0][:SHOWN]
    return gains, losses, [] if gains or losses else found[:SHOWN]


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[... {len(text) - LONGEST:,} characters ...]\n{text[-half:]}"
