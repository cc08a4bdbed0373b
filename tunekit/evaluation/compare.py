"""Before and after, on the same held-out rows: numbers and answers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tunekit.errors import SpecError
from tunekit.evaluation.differences import Clusters, Pairs, Sides
from tunekit.evaluation.judge import Judged
from tunekit.evaluation.labels import Confusion, confusion, labels
from tunekit.evaluation.measurement import Measurement as Measurement
from tunekit.evaluation.metrics import PROPORTIONS
from tunekit.evaluation.verdict import Difference, Forgetting, Gate, Overfitting, Rank, Verdict


class Score(BaseModel):
    """One metric of the answers, from 0 to 1."""

    model_config = ConfigDict(frozen=True)

    base: float
    tuned: float
    count: int
    """Answers that were scored."""
    proportion: bool = True
    """Each answer is either right or wrong."""


class Comparison(BaseModel):
    """Base and tuned model on the same rows."""

    model_config = ConfigDict(frozen=True)

    base: Measurement
    tuned: Measurement
    prompts: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    scores: dict[str, Score] = {}
    examples: Annotated[int, Field(ge=0)] = 3
    """How many answers are printed side by side."""
    items: dict[str, Pairs] = {}
    """Every score of every answer: by metric, base and tuned, in the order of the prompts."""
    confusion: Confusion | None = None
    """Who is taken for whom, where answers are labels."""
    differences: tuple[Difference, ...] = ()
    """Every metric with its interval; the first is the one that decides."""
    forgetting: Forgetting | None = None
    overfitting: Overfitting | None = None
    rank: Rank | None = None
    judge: Judged | None = None
    """What a judge makes of the answers, where the spec names one."""
    gate: Gate | None = None
    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""
    seconds: float = 0.0
    """Wall time of the whole evaluation."""

    @property
    def verdict(self) -> Verdict | None:
        """The conclusion of the deciding metric; None where nothing was compared."""
        return self.differences[0].verdict if self.differences else None

    @property
    def preference_accuracy(self) -> float | None:
        """Share of the pairs whose chosen answer gained more than the rejected one.

        That is the accuracy of DPO's implicit reward (Rafailov et al. 2023, arXiv 2305.18290).
        """
        both = zip(self.base.pairs, self.tuned.pairs, strict=True)
        return _share([tuned[0] - base[0] > tuned[1] - base[1] for base, tuned in both])

    def __str__(self) -> str:
        from tunekit.evaluation.show import text

        return text(self)

    def __rich__(self) -> Any:
        from tunekit.evaluation.show import drawn

        return drawn(self)

    def _repr_html_(self) -> str:
        from tunekit.evaluation.show import html

        return html(self)


def compare(
    base: Measurement,
    tuned: Measurement,
    *,
    prompts: Sequence[str],
    references: Sequence[str],
    examples: int = 3,
    metrics: Sequence[str] | None = None,
    clusters: Clusters | None = None,
    json_schema: Mapping[str, Any] | None = None,
) -> Comparison:
    """Put two measurements of the same rows side by side, score and judge them.

    Args:
        base: What the base makes of the rows.
        tuned: What the tuned model makes of them.
        prompts: What both answered.
        references: The answers that the rows hold.
        examples: How many answers are printed.
        metrics: Names, the one that decides first; None picks those that fit the references.
        clusters: Which items are not independent.
        json_schema: What JSON answers should keep; None makes one of the references.

    Raises:
        SpecError: the two did not answer the same prompts or see the same tokens.
    """
    counts = {len(base.answers), len(tuned.answers), len(prompts), len(references)}
    if len(counts) > 1 or base.tokens != tuned.tokens or len(base.pairs) != len(tuned.pairs):
        raise SpecError(
            "evaluation: base and tuned model were measured on different rows: "
            f"{len(base.answers)} and {len(tuned.answers)} answers to {len(prompts)} prompts, "
            f"{base.tokens} and {tuned.tokens} tokens"
        )
    sides = Sides(base, tuned, references, metrics, clusters or Clusters(), json_schema)
    items = sides.items()
    known = labels(references)
    return Comparison(
        base=base,
        tuned=tuned,
        prompts=tuple(prompts),
        references=tuple(references),
        scores={name: _score(name, pairs) for name, pairs in items.items()},
        examples=examples,
        items=items,
        confusion=confusion(known, base.answers, tuned.answers, references) if known else None,
        differences=sides.differences(items),
    )


def _score(name: str, pairs: Pairs) -> Score:
    base, tuned = zip(*pairs, strict=True)
    return Score(
        base=sum(base) / len(base),
        tuned=sum(tuned) / len(tuned),
        count=len(pairs),
        proportion=name in PROPORTIONS,
    )


def _share(hits: list[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
