"""A model compares the answers of base and tuned model, each pair in both orders.

Judges prefer the answer that stands first, or the longer one (Zheng et al. 2023, arXiv 2306.05685).
So a pair counts as won only where both orders agree, and how often they agree is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tunekit.evaluation.paired import Measure, mean_difference
from tunekit.evaluation.verdict import Difference

Ask = Callable[[list[dict[str, str]]], str]
"""Sends a chat to the judge and gives its answer."""
Word = Literal["first", "second", "tie"]

_SYSTEM = (
    "You compare two answers to one prompt. {question} The order of the answers and their length "
    "mean nothing. Reply with one letter and nothing else: A if answer A is better, B if answer B "
    "is better, C if neither is."
)
_LETTER = re.compile(r"(?<![A-Za-z])([ABC])(?![A-Za-z])")
_WORDS: dict[str, Word] = {"A": "first", "B": "second", "C": "tie"}
_ALIKE = 1.2
"""Answers whose lengths differ by no more than this factor are of like length."""


class Judged(BaseModel):
    """What a judge makes of the answers."""

    model_config = ConfigDict(frozen=True)

    model: str
    won: int
    """Pairs in which the tuned model's answer is the better one, in both orders."""
    lost: int
    tied: int
    """Pairs without a better answer, or where the two orders disagree."""
    consistency: float
    """Share of pairs in which both orders say the same."""
    unread: int
    """Verdicts that were no letter; they count as ties."""
    alike: int
    """Pairs of answers of like length, within a fifth."""
    won_alike: float | None = None
    """Share won among these, ties by half: what is left when length cannot decide."""


def judged(
    ask: Ask,
    *,
    model: str,
    question: str,
    prompts: Sequence[str],
    base: Sequence[str],
    tuned: Sequence[str],
    clusters: Sequence[int] = (),
) -> tuple[Judged, Difference | None]:
    """Ask for every pair twice, and count.

    Returns:
        The counts, and the share won by each model with its interval, ties by half.
    """
    rows = list(zip(prompts, base, tuned, strict=True))
    words = [_both(ask, question, *row) for row in rows]
    scores = [_score(*pair) for pair in words]
    alike = [
        score
        for score, (_, one, other) in zip(scores, rows, strict=True)
        if max(len(one), len(other)) <= _ALIKE * max(1, min(len(one), len(other)))
    ]
    found = Judged(
        model=model,
        won=scores.count(1.0),
        lost=scores.count(0.0),
        tied=scores.count(0.5),
        consistency=sum(_agree(*pair) for pair in words) / len(words) if words else 1.0,
        unread=sum(word is None for pair in words for word in pair),
        alike=len(alike),
        won_alike=sum(alike) / len(alike) if alike else None,
    )
    difference = (
        mean_difference(
            Measure("judge", "score", "higher"),
            [1 - score for score in scores],
            scores,
            clusters=clusters or range(len(scores)),
        )
        if scores
        else None
    )
    return found, difference


def read(answer: str) -> Word | None:
    """Read a verdict: the first letter that stands alone; None where there is none."""
    found = _LETTER.search(answer.strip())
    return _WORDS[found.group(1)] if found else None


def _both(
    ask: Ask, question: str, prompt: str, base: str, tuned: str
) -> tuple[Word | None, Word | None]:
    base_first = read(ask(_chat(question, prompt, base, tuned)))
    return base_first, read(ask(_chat(question, prompt, tuned, base)))


def _chat(question: str, prompt: str, first: str, second: str) -> list[dict[str, str]]:
    asked = f"Prompt:\n{prompt}\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}"
    return [
        {"role": "system", "content": _SYSTEM.format(question=question)},
        {"role": "user", "content": asked},
    ]


def _score(base_first: Word | None, tuned_first: Word | None) -> float:
    """Give 1 where the tuned answer wins in both orders, 0 where the base's does, else a half."""
    if (base_first, tuned_first) == ("second", "first"):
        return 1.0
    return 0.0 if (base_first, tuned_first) == ("first", "second") else 0.5


def _agree(base_first: Word | None, tuned_first: Word | None) -> bool:
    """Say whether both orders name the same answer, or none."""
    return (base_first, tuned_first) in (("second", "first"), ("first", "second"), ("tie", "tie"))
