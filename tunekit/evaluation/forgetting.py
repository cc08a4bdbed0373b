"""What was forgotten: the signs, their limits, and what to try.

The limits come from PEFT's comparison of methods (github.com/huggingface/peft,
method_comparison/MetaMathQA): of 32 runs that learnt the task, three quarters lost less than 0.11
nats per token on Wikipedia, and of the 7 runs that lost more than 0.30, 6 had not learnt it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tunekit.evaluation.paired import Measure, mean_difference
from tunekit.evaluation.verdict import Forgetting, Signal, Status

Profile = Literal["assistant", "specialist"]

_LIMITS: dict[str, tuple[float, float]] = {
    "general_loss": (0.10, 0.30),
    "divergence": (0.10, 0.30),
    "agreement": (0.90, 0.80),
}
"""Where warn and fail begin for an assistant."""
_ORDER: tuple[Status, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True)
class Losses:
    """Of each passage the summed negative log-likelihood and the tokens that count."""

    base: Sequence[tuple[float, int]]
    tuned: Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Divergence:
    """Of one prompt, over the tokens that the base has said to it."""

    divergence: float
    """KL(base || tuned) of the whole vocabulary, summed, in nats."""
    tokens: int
    sure: int
    """Tokens where the base thinks one likelier than all others together."""
    agreed: int
    """How many of these the tuned model thinks likeliest too."""


@dataclass(frozen=True)
class Trained:
    """How a model was trained, as far as what to try next depends on it."""

    adapter: bool
    """The base is still there beneath it, so less of the adapter can be used."""
    learning_rate: float | None = None
    """The peak rate."""
    epochs: float | None = None
    replay: tuple[str, float] | None = None
    """Source and ratio of what was mixed in."""


def judge(
    losses: Losses,
    divergences: Sequence[Divergence],
    *,
    profile: Profile,
    trained: Trained,
) -> Forgetting | None:
    """Hold what was measured against the limits; None where nothing was.

    Args:
        losses: On general passages.
        divergences: On what the base says to general prompts.
        profile: A specialist may forget twice as much.
        trained: What advice goes by.
    """
    signals = [sign for sign in (_loss(losses, profile), *_answers(divergences, profile)) if sign]
    if not signals:
        return None
    status = worst(sign.status for sign in signals)
    advice = () if status == "pass" else tuple(_advice(profile, trained))
    return Forgetting(profile=profile, signals=tuple(signals), status=status, advice=advice)


def worst(found: Iterable[Status]) -> Status:
    """Give the worst of several."""
    return max(found, key=_ORDER.index)


def _loss(losses: Losses, profile: Profile) -> Signal | None:
    rows = [
        (base / count, tuned / count, count)
        for (base, count), (tuned, _) in zip(losses.base, losses.tuned, strict=True)
        if count
    ]
    found = (
        mean_difference(
            Measure("general_loss", "nats/token", "lower"),
            [base for base, _, _ in rows],
            [tuned for _, tuned, _ in rows],
            clusters=range(len(rows)),
            weights=[count for _, _, count in rows],
        )
        if rows
        else None
    )
    if found is None:
        return None
    return _signal("general_loss", "nats/token", (found.change, found.low, found.high), profile)


def _answers(rows: Sequence[Divergence], profile: Profile) -> list[Signal]:
    found: list[Signal] = []
    for name, unit, pairs in (
        ("divergence", "nats/token", [(row.divergence, row.tokens) for row in rows]),
        ("agreement", "share", [(float(row.agreed), row.sure) for row in rows]),
    ):
        weights = [count for _, count in pairs if count]
        values = [total / count for total, count in pairs if count]
        mean = (
            mean_difference(
                Measure(name, "nats/token", "lower"),
                [0.0] * len(values),
                values,
                clusters=range(len(values)),
                weights=weights,
            )
            if values
            else None
        )
        if mean is not None:
            high = min(1.0, mean.high) if unit == "share" else mean.high
            found.append(_signal(name, unit, (mean.tuned, max(0.0, mean.low), high), profile))
    return found


def _signal(name: str, unit: str, found: tuple[float, float, float], profile: Profile) -> Signal:
    warn, fail = _limits(name, profile)
    value, low, high = found
    higher = name == "agreement"
    beyond = (value < warn, value < fail) if higher else (value >= warn, value >= fail)
    return Signal(
        name=name,
        unit=unit,
        value=value,
        low=low,
        high=high,
        warn=warn,
        fail=fail,
        better="higher" if higher else "lower",
        status=_ORDER[sum(beyond)],
    )


def _limits(name: str, profile: Profile) -> tuple[float, float]:
    """Give where warn and fail begin; a specialist may move twice as far."""
    warn, fail = _LIMITS[name]
    if profile == "assistant":
        return warn, fail
    return (2 * warn - 1, 2 * fail - 1) if name == "agreement" else (2 * warn, 2 * fail)


def _advice(profile: Profile, trained: Trained) -> Iterator[str]:
    """Say what to try, the cheapest first, and nothing that was done already."""
    if profile == "assistant":
        yield "evaluation.profile: specialist, if nothing but the task is asked of the model"
    if trained.adapter:
        yield "tunekit mitigate RUN: a weaker adapter often keeps the gain and forgets less"
    if trained.replay is None:
        yield "training.replay: {source: general, ratio: 0.1} mixes general chats in"
    else:
        source, ratio = trained.replay
        more = f"training.replay: {{source: {source}, ratio: {min(1.0, 2 * ratio):g}}}"
        if ratio < 1:
            yield f"{more}, more than the {ratio:g} of this run"
    if trained.learning_rate:
        yield f"training.learning_rate: {trained.learning_rate / 2:.2g}, half of what it was"
    if trained.epochs is None or trained.epochs > 1:
        yield "training.epochs: 1, so that the weights move less"
    yield "method.target_modules: fewer of them, so that the weights move less"
