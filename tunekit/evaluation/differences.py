"""Every metric of two measurements of the same rows, each with its interval and verdict."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunekit.evaluation.labels import labels, macro_f1_difference
from tunekit.evaluation.measurement import Measurement
from tunekit.evaluation.metrics import Metric, fitting, is_prose, metric
from tunekit.evaluation.paired import Measure, mean_difference
from tunekit.evaluation.verdict import Difference

ENOUGH = 12
"""Answers without which the loss decides: on fewer, nothing but a landslide shows."""
_DIFFERENT, _OTHERS = 64, 8
"""With more references that differ, each answer is held against a few of other rows, not all."""
_LEARNT_FORM = (
    "the answers fit the references of other rows as well as their own: "
    "the form was learnt, not what to say"
)

Pairs = tuple[tuple[float, float], ...]
"""Base and tuned, one pair for each item."""


@dataclass(frozen=True)
class Clusters:
    """Which items are not independent, by number; nothing says that all are."""

    rows: Sequence[int] = ()
    """Of the rows whose loss is measured."""
    prompts: Sequence[int] = ()
    pairs: Sequence[int] = ()


@dataclass(frozen=True)
class Sides:
    """Base and tuned model on the same rows, and what to make of them."""

    base: Measurement
    tuned: Measurement
    references: Sequence[str]
    wanted: Sequence[str] | None = None
    """Names of metrics in order; None picks those that fit."""
    clusters: Clusters = field(default_factory=Clusters)
    json_schema: Mapping[str, Any] | None = None

    def metrics(self) -> list[Metric]:
        """Give the metrics that score one answer at a time."""
        return [
            metric(name, self.references, json_schema=self.json_schema)
            for name in self._names()
            if name not in _OWN and name not in AIMS
        ]

    def items(self) -> dict[str, Pairs]:
        """Score every answer: by metric, base and tuned."""
        return {
            metric.name: tuple(
                zip(
                    metric.over(self.base.answers, self.references),
                    metric.over(self.tuned.answers, self.references),
                    strict=True,
                )
            )
            for metric in self.metrics()
        }

    def differences(self, items: Mapping[str, Pairs]) -> tuple[Difference, ...]:
        """Compare by every metric; the first is the one that decides."""
        by_name = {metric.name: metric for metric in self.metrics()}
        # A function of the user's is listed under its full name.
        found = (
            self._aim(name)
            if name in AIMS
            else _OWN[name](self)
            if name in _OWN
            else self._of(by_name[short], items[short])
            for name in self._names()
            for short in (name.rpartition(":")[2],)
        )
        return tuple(difference for difference in found if difference is not None)

    def _names(self) -> list[str]:
        """Order the metrics: what was asked for, or what tells most first."""
        if self.wanted is not None:
            return [name for name in self.wanted if self._has(name)]
        answers = [*fitting(self.references)]
        preference = ["preference_accuracy", "preference_margin"] if self.base.pairs else []
        preference = [*self.base.aims, *preference]
        decides = len(self.references) >= ENOUGH and not is_prose(answers) and not preference
        names = [*answers, "loss"] if decides else [*preference, "loss", *answers]
        return [name for name in names if self._has(name)]

    def _has(self, name: str) -> bool:
        if name in AIMS:
            return name in self.base.aims
        if name == "loss":
            return bool(self.base.rows and self.tuned.rows)
        return bool(self.base.pairs if name.startswith("preference_") else self.references)

    def _of(self, metric: Metric, pairs: Pairs) -> Difference | None:
        base, tuned = zip(*pairs, strict=True)
        unit = "share" if metric.proportion else "score" if metric.bounded else "value"
        found = mean_difference(
            Measure(metric.name, unit, "higher"), base, tuned, clusters=self._prompts
        )
        return self._checked(found, metric, pairs) if metric.specific else found

    def _checked(self, found: Difference | None, metric: Metric, pairs: Pairs) -> Difference | None:
        """Take back a gain that is one of form."""
        if found is None or found.verdict != "improved" or self._is_specific(metric, pairs):
            return found
        return found.model_copy(update={"verdict": "no detectable change", "note": _LEARNT_FORM})

    def _is_specific(self, metric: Metric, pairs: Pairs) -> bool:
        """Say whether the gain is more than against the references of other rows.

        Always where all references are alike: then there is nothing to tell apart.
        """
        if len(set(self.references)) < 2:
            return True
        others = [
            _chance(metric, side.answers, self.references) for side in (self.base, self.tuned)
        ]
        own = zip(*pairs, strict=True)
        base, tuned = (
            [a - b for a, b in zip(scored, other, strict=True)]
            for scored, other in zip(own, others, strict=True)
        )
        measure = Measure(metric.name, "lift", "higher")
        found = mean_difference(measure, base, tuned, clusters=self._prompts)
        return found is not None and found.verdict == "improved"

    @property
    def _prompts(self) -> Sequence[int]:
        return self.clusters.prompts or range(len(self.references))

    def loss(self) -> Difference | None:
        """Compare the mean loss per token; every token weighs the same."""
        rows = [
            (base, tuned, count, cluster)
            for (base, count), (tuned, _), cluster in zip(
                self.base.rows,
                self.tuned.rows,
                self.clusters.rows or range(len(self.base.rows)),
                strict=True,
            )
            if count
        ]
        if any(base is None or tuned is None for base, tuned, _, _ in rows):
            return None
        return mean_difference(
            Measure("loss", "nats/token", "lower"),
            [(base or 0.0) / count for base, _, count, _ in rows],
            [(tuned or 0.0) / count for _, tuned, count, _ in rows],
            clusters=[cluster for *_, cluster in rows],
            weights=[count for _, _, count, _ in rows],
        )

    def _aim(self, name: str) -> Difference | None:
        """Compare by what the objective wants more of."""
        base, tuned = self.base.aims[name], self.tuned.aims[name]
        measure = Measure(name, AIMS[name], "higher")
        return mean_difference(measure, base, tuned, clusters=range(len(base)))

    def macro_f1(self) -> Difference | None:
        """Compare macro-F1; a gain counts where accuracy gains beyond other rows' labels."""
        known = labels(self.references)
        if not known:
            return None
        found = macro_f1_difference(
            known,
            self.base.answers,
            self.tuned.answers,
            self.references,
            clusters=self._prompts,
        )
        accuracy = metric("accuracy", self.references)
        pairs = tuple(
            zip(
                accuracy.over(self.base.answers, self.references),
                accuracy.over(self.tuned.answers, self.references),
                strict=True,
            )
        )
        return self._checked(found, accuracy, pairs)

    def preference_accuracy(self) -> Difference | None:
        """Compare the share of pairs in which the chosen answer is the likelier one."""
        return self._preference(
            Measure("preference_accuracy", "share", "higher"), lambda margin: float(margin > 0)
        )

    def preference_margin(self) -> Difference | None:
        """Compare by how much the chosen answer is likelier, summed over tokens."""
        return self._preference(Measure("preference_margin", "nats", "higher"), float)

    def _preference(self, measure: Measure, score: Callable[[float], float]) -> Difference | None:
        base, tuned = (
            [score(chosen - rejected) for chosen, rejected in side.pairs]
            for side in (self.base, self.tuned)
        )
        clusters = self.clusters.pairs or range(len(base))
        return mean_difference(measure, base, tuned, clusters=clusters)


AIMS: Mapping[str, str] = {"judged_margin": "nats", "reward": "value"}
"""What an objective wants more of, with its unit: see `aims.py`."""

_OWN: dict[str, Callable[[Sides], Difference | None]] = {
    "loss": Sides.loss,
    "macro_f1": Sides.macro_f1,
    "preference_accuracy": Sides.preference_accuracy,
    "preference_margin": Sides.preference_margin,
}
"""Metrics that are no mean over answers."""


def _chance(metric: Metric, answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """Score each answer against the references of other rows: the mean over all, or over a few."""
    counts = Counter(references)
    found: list[float] = []
    pick = random.Random(0)
    for row, (answer, own) in enumerate(zip(answers, references, strict=True)):
        others = counts - Counter([own])
        if len(counts) > _DIFFERENT:
            rows = [n for n in pick.sample(range(len(references)), _OTHERS + 1) if n != row]
            others = Counter(references[n] for n in rows[:_OTHERS])
        scored = metric.over([answer] * len(others), list(others))
        total = sum(score * count for score, count in zip(scored, others.values(), strict=True))
        found.append(total / others.total())
    return found
