"""The answer in a word, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.evaluation.compare import Comparison
from tunekit.evaluation.verdict import Difference
from tunekit.events import JobState
from tunekit.report.figures import between, change, measured
from tunekit.report.reading import Reading

Tone = str
"""`good`, `warn`, `bad` or `plain`: how the page colours it."""

TONES: dict[str, Tone] = {
    "improved": "good",
    "no detectable change": "warn",
    "regressed": "bad",
    "pass": "good",
    "warn": "warn",
    "fail": "bad",
    "fine": "good",
    "too small": "warn",
    "too large": "warn",
    JobState.SUCCEEDED.value: "plain",
    JobState.FAILED.value: "bad",
    JobState.CANCELLED.value: "warn",
}
_NAMES = {
    "loss": "Held-out loss",
    "perplexity": "Perplexity",
    "preference_accuracy": "Chosen is likelier",
    "preference_margin": "Margin of the chosen answer",
    "exact_match": "Exact match",
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "numeric_match": "Right number",
    "json_values": "Right JSON values",
    "json_schema": "JSON as the schema asks",
    "json_valid": "Valid JSON",
    "json_keys": "Right JSON keys",
    "rouge_l": "ROUGE-L",
    "chrf": "chrF",
    "word_f1": "Word F1",
    "f1": "F1",
    "general_loss": "Loss on general text",
    "divergence": "Divergence from the base",
    "agreement": "Agreement with the base",
}


@dataclass(frozen=True)
class Chip:
    """One finding beside the verdict."""

    name: str
    value: str
    tone: Tone


@dataclass(frozen=True)
class Headline:
    """What to know if one reads nothing else."""

    title: str
    tone: Tone
    sentence: str
    chips: tuple[Chip, ...] = ()

    @classmethod
    def of(cls, reading: Reading) -> Headline:
        """Say how the run ended and what it changed."""
        record, found = reading.record, reading.comparison
        if record.state is not JobState.SUCCEEDED:
            title, tone = record.state.value.capitalize(), TONES.get(record.state.value, "plain")
            return cls(title, tone, record.reason)
        if found is None:
            return cls("Trained", "plain", "Base and tuned model were not compared.")
        if not found.differences:
            return cls("Trained", "plain", _plain(found), _chips(found))
        first = found.differences[0]
        title = first.verdict.capitalize()
        return cls(title, TONES[first.verdict], _sentence(first), _chips(found))


_UNITLESS = ("share", "score", "value")


def unit(name: str) -> str:
    """Give what to write behind a number; empty where it needs nothing."""
    return "" if name in _UNITLESS else name


def called(name: str) -> str:
    """Give a metric's name for people."""
    return _NAMES.get(name) or name.replace("_", " ").capitalize()


def _sentence(difference: Difference) -> str:
    measure = f" {unit(difference.unit)}" if unit(difference.unit) else ""
    said = (
        f"{called(difference.name)} went from {measured(difference.base, difference.unit)} to "
        f"{measured(difference.tuned, difference.unit)}{measure}: "
        f"{change(difference.change, difference.unit)}, "
        f"95 % interval {between(difference.low, difference.high, difference.unit)}, "
        f"over {difference.items:,} held-out items."
    )
    if difference.note:
        return f"{said} {difference.note[:1].upper()}{difference.note[1:].rstrip('.')}."
    if difference.verdict == "no detectable change":
        seen = change(difference.detectable, difference.unit).lstrip("+")
        said += f" A change of {seen} would be found in 80 % of such evaluations."
    return said


def _plain(found: Comparison) -> str:
    base, tuned = found.base.loss, found.tuned.loss
    if base is None or tuned is None:
        return "The figures come without intervals, so they carry no verdict."
    return (
        f"Held-out loss went from {measured(base, '')} to {measured(tuned, '')} nats/token over "
        f"{found.tuned.tokens:,} tokens; without an interval this is no verdict."
    )


def _chips(found: Comparison) -> tuple[Chip, ...]:
    chips: list[Chip] = []
    if found.gate is not None:
        passed = "passed" if found.gate.passed else "not passed"
        chips.append(Chip("Gate", passed, "good" if found.gate.passed else "bad"))
    for name, part in (("Forgetting", found.forgetting), ("Overfitting", found.overfitting)):
        if part is not None:
            chips.append(Chip(name, part.status, TONES[part.status]))
    if found.rank is not None:
        chips.append(Chip("Rank", found.rank.verdict, TONES[found.rank.verdict]))
    return tuple(chips)
