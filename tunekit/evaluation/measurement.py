"""What one model makes of the held-out rows, as data."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


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
    rows: tuple[tuple[Finite, int], ...] = ()
    """Of each row the summed negative log-likelihood, and how many tokens count."""
    answers: tuple[str, ...] = ()
    """One for each prompt."""
    pairs: tuple[tuple[float, float], ...] = ()
    """Log-probability of the chosen and of the rejected answer, summed over their tokens; of a
    reward model, the scores of both."""

    aims: dict[str, tuple[float, ...]] = {}
    """What the objective wants more of, one number for each held-out item: by name, `reward` or
    `judged_margin`."""

    @property
    def preference_accuracy(self) -> float | None:
        """Share of the pairs in which the chosen answer is the likelier one."""
        hits = [chosen > rejected for chosen, rejected in self.pairs]
        return sum(hits) / len(hits) if hits else None
