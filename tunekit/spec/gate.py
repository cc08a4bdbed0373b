"""What must hold for a tuned model to be shipped."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tunekit.spec.strict import Strict


class Gate(Strict):
    """Conditions on the figures of a run; what is not set is not asked."""

    verdict: Literal["improved", "no detectable change"] | None = None
    """The least that the deciding metric must say; "no detectable change" refuses a regression."""
    forgetting: Literal["pass", "warn"] | None = None
    """The worst that may be forgotten."""
    overfitting: Literal["pass", "warn"] | None = None
    """The worst that may be learnt by heart."""
    minimum: dict[str, float] = Field(default_factory=dict)
    """Lowest value of the tuned model by metric: {exact_match: 0.9}."""
    maximum: dict[str, float] = Field(default_factory=dict)
    """Highest value of the tuned model by metric: {loss: 1.2}."""


def _gate(value: Any) -> Any:
    """Take a verdict, or true for the usual gate, as a whole gate."""
    if value is True:
        return {"verdict": "improved", "forgetting": "warn"}
    if value is False:
        return None
    return {"verdict": value} if isinstance(value, str) else value


Gated = Annotated[
    Gate | None,
    BeforeValidator(_gate, json_schema_input_type=bool | Literal["improved"] | Gate | None),
]
