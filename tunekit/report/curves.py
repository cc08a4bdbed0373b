"""Which figures of a training are drawn, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunekit.report.chart import COLOURS, Line, drawn
from tunekit.report.reading import Reading
from tunekit.report.series import Point

_GB = 1e9


@dataclass(frozen=True)
class Figure:
    """A chart with its caption and its legend."""

    title: str
    picture: Markup
    legend: tuple[tuple[str, int], ...] = ()
    """Name and colour; empty where one line needs none."""

    @classmethod
    def of(
        cls, title: str, lines: Sequence[Line], *, across: str = "step", zero: bool = False
    ) -> Figure:
        """Draw lines."""
        legend = tuple((line.name, line.colour % COLOURS) for line in lines)
        picture = drawn(title, lines, across=across, zero=zero)
        return cls(title, picture, legend if len(lines) > 1 else ())


@dataclass(frozen=True)
class _Wanted:
    title: str
    metrics: tuple[tuple[str, str], ...]
    """TRL's name, and what the line is called."""
    zero: bool = False
    scale: float = 1.0


_WANTED = (
    _Wanted("Loss", (("loss", "training"), ("eval_loss", "held out"))),
    _Wanted("Learning rate", (("learning_rate", "learning rate"),), zero=True),
    _Wanted("Gradient norm", (("grad_norm", "gradient norm"),), zero=True),
    _Wanted("Tokens per second", (("tokens_per_second", "tokens/s"),), zero=True),
    _Wanted("Memory (GB)", (("memory_bytes", "GB"),), zero=True, scale=1 / _GB),
    _Wanted(
        "Token accuracy",
        (("mean_token_accuracy", "training"), ("eval_mean_token_accuracy", "held out")),
    ),
    _Wanted(
        "Pairs ranked right",
        (("rewards/accuracies", "training"), ("eval_rewards/accuracies", "held out")),
    ),
    _Wanted(
        "Reward margin", (("rewards/margins", "training"), ("eval_rewards/margins", "held out"))
    ),
)
_OVER_RUNS = (
    _Wanted("Training loss", (("loss", ""),)),
    _Wanted("Held-out loss", (("eval_loss", ""),)),
    _Wanted("Learning rate", (("learning_rate", ""),), zero=True),
    _Wanted("Gradient norm", (("grad_norm", ""),), zero=True),
    _Wanted("Tokens per second", (("tokens_per_second", ""),), zero=True),
    _Wanted("Memory (GB)", (("memory_bytes", ""),), zero=True, scale=1 / _GB),
)


def of_run(reading: Reading) -> list[Figure]:
    """Draw what a run has measured."""
    figures: list[Figure] = []
    for wanted in _WANTED:
        lines = [
            Line(name, _scaled(reading.series[metric], wanted.scale), colour)
            for colour, (metric, name) in enumerate(wanted.metrics)
            if metric in reading.series
        ]
        if lines:
            figures.append(Figure.of(wanted.title, lines, zero=wanted.zero))
    return figures


def of_runs(readings: Sequence[Reading]) -> list[Figure]:
    """Draw each metric of several runs in one chart; a run keeps its colour."""
    figures: list[Figure] = []
    for wanted in _OVER_RUNS:
        metric = wanted.metrics[0][0]
        lines = [
            Line(reading.title, _scaled(reading.series[metric], wanted.scale), colour)
            for colour, reading in enumerate(readings)
            if metric in reading.series
        ]
        if lines:
            figures.append(Figure.of(wanted.title, lines, zero=wanted.zero))
    return figures


def _scaled(points: Sequence[Point], scale: float) -> list[Point]:
    return [(step, value * scale) for step, value in points]
