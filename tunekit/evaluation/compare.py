"""Before and after, on the same held-out rows: numbers and answers side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tunekit.errors import SpecError
from tunekit.evaluation.metrics import PROPORTIONS, scores
from tunekit.evaluation.verdict import Difference, Forgetting, Gate, Overfitting, Rank, Verdict


def _finite(value: Any) -> Any:
    """JSON has no infinity: what is not a finite number is None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Finite = Annotated[float | None, BeforeValidator(_finite)]


class Measurement(BaseModel):
    """What one model makes of the held-out rows."""

    model_config = ConfigDict(frozen=True)

    loss: Finite = None
    """Mean negative log-likelihood of the tokens that count, in nats; None if it is not finite."""
    perplexity: Finite = None
    """exp(loss)."""
    tokens: int = 0
    """How many tokens count."""
    answers: tuple[str, ...] = ()
    """One for each prompt."""
    pairs: tuple[tuple[float, float], ...] = ()
    """Log-probability of the chosen and of the rejected answer, summed over their tokens."""

    @property
    def preference_accuracy(self) -> float | None:
        """Share of the pairs in which the chosen answer is the likelier one."""
        return _share([chosen > rejected for chosen, rejected in self.pairs])


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
    differences: tuple[Difference, ...] = ()
    """Every metric with its interval; the first is the one that decides."""
    forgetting: Forgetting | None = None
    overfitting: Overfitting | None = None
    rank: Rank | None = None
    gate: Gate | None = None
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
) -> Comparison:
    """Put two measurements of the same rows side by side, and score their answers.

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
    before, after = scores(base.answers, references), scores(tuned.answers, references)
    return Comparison(
        base=base,
        tuned=tuned,
        prompts=tuple(prompts),
        references=tuple(references),
        scores={
            name: Score(
                base=before[name],
                tuned=after[name],
                count=len(references),
                proportion=name in PROPORTIONS,
            )
            for name in before
        },
        examples=examples,
    )


def _share(hits: list[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
