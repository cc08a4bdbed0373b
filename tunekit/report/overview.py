"""Several runs in one table: their verdicts, their figures, and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunekit.report.answers import Answer, answers
from tunekit.report.figures import between, duration, measured
from tunekit.report.headline import TONES, Headline, Tone, called
from tunekit.report.reading import Reading
from tunekit.report.settings import differing

SHOWN = 3
"""Prompts whose answers are shown."""


@dataclass(frozen=True)
class Cell:
    """What one run has in a row."""

    text: str = ""
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Overview:
    """Rows over runs; the first cell of each belongs to the first run."""

    outcomes: tuple[tuple[str, tuple[Cell, ...]], ...]
    """Verdict, figures and times, by name."""
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    """Those that are not the same in all runs."""
    prompts: tuple[tuple[Answer, tuple[str, ...]], ...]
    """Prompts that all runs answered, and the tuned answer of each; the most different first."""

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> Overview:
        """Put runs side by side."""
        return cls(
            outcomes=tuple((name, cells) for name, cells in _outcomes(readings) if any(cells)),
            settings=tuple(
                (name, tuple(values))
                for name, values in differing([reading.record for reading in readings])
            ),
            prompts=tuple(_prompts(readings)),
        )


def _outcomes(readings: Sequence[Reading]) -> list[tuple[str, tuple[Cell, ...]]]:
    heads = [Headline.of(reading) for reading in readings]
    rows = [("Outcome", tuple(Cell(head.title, tone=head.tone) for head in heads))]
    for name in _metrics(readings):
        rows.append((called(name), tuple(_difference(reading, name) for reading in readings)))
    for name in ("Gate", "Forgetting", "Overfitting", "Rank"):
        rows.append((name, tuple(_chip(head, name) for head in heads)))
    rows.append(("Last training loss", tuple(_last(reading, "loss") for reading in readings)))
    rows.append(("Last held-out loss", tuple(_last(reading, "eval_loss") for reading in readings)))
    rows.append(("Took", tuple(_took(reading) for reading in readings)))
    return [(name, cells) for name, cells in rows if any(cell.text for cell in cells)]


def _metrics(readings: Sequence[Reading]) -> list[str]:
    """Give the metrics that any of the runs was measured by."""
    names: dict[str, None] = {}
    for reading in readings:
        if (found := reading.comparison) is not None:
            if not found.differences and found.tuned.loss is not None:
                names["loss"] = None
            names |= dict.fromkeys(each.name for each in found.differences)
            names |= dict.fromkeys(found.scores)
    return list(names)


def _difference(reading: Reading, name: str) -> Cell:
    found = reading.comparison
    if found is None:
        return Cell()
    for each in found.differences:
        if each.name == name:
            text = f"{measured(each.base, each.unit)} → {measured(each.tuned, each.unit)}"
            note = between(each.low, each.high, each.unit)
            return Cell(text, note, TONES[each.verdict])
    if name in found.scores:
        score = found.scores[name]
        return Cell(f"{measured(score.base, 'share')} → {measured(score.tuned, 'share')}")
    if name == "loss" and found.tuned.loss is not None:
        return Cell(f"{measured(found.base.loss, '')} → {measured(found.tuned.loss, '')}")
    return Cell()


def _chip(head: Headline, name: str) -> Cell:
    found = next((chip for chip in head.chips if chip.name == name), None)
    return Cell(found.value, tone=found.tone) if found else Cell()


def _last(reading: Reading, metric: str) -> Cell:
    value = reading.last(metric)
    return Cell() if value is None else Cell(measured(value, ""))


def _took(reading: Reading) -> Cell:
    return Cell() if reading.seconds is None else Cell(duration(reading.seconds))


def _prompts(readings: Sequence[Reading]) -> list[tuple[Answer, tuple[str, ...]]]:
    """Give the prompts where the runs' scores lie furthest apart."""
    found = [
        {answer.prompt: answer for answer in answers(reading.comparison)}
        for reading in readings
        if reading.comparison is not None
    ]
    if len(found) != len(readings):
        return []
    shared = [prompt for prompt in found[0] if all(prompt in each for each in found)]

    def apart(prompt: str) -> float:
        gains = [each[prompt].gain for each in found]
        return max(gains) - min(gains)

    ranked = sorted(shared, key=apart, reverse=True)[:SHOWN]
    return [(found[0][prompt], tuple(each[prompt].tuned for each in found)) for prompt in ranked]
