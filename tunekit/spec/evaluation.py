"""What is compared before and after, and where the result is put."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tunekit.spec.strict import Strict

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _a_name(value: Any) -> Any:
    if isinstance(value, str) and not re.match(_NAME, value):
        raise ValueError(
            "must begin with a letter or digit and go on with up to 63 of these or '.', '_', '-', "
            f"not {value[:80]!r}"
        )
    return value


class Evaluation(Strict):
    """The comparison of base and tuned model on held-out rows."""

    enabled: bool = True
    """Measure base and tuned; needs validation rows."""
    generations: Annotated[int, Field(ge=0, le=10_000)] = 8
    """Held-out prompts that both models answer, greedily."""
    examples: Annotated[int, Field(ge=0, le=100)] = 3
    """Answers shown side by side at the end."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest answer in tokens."""


class Output(Strict):
    """Where the result goes."""

    name: Annotated[
        Annotated[str, Field(pattern=_NAME)] | None,
        BeforeValidator(_a_name),
    ] = None
    """A name to find the run by; part of its id."""
    folder: str | None = None
    """Copy the adapter (or model) here when the run has succeeded; must not exist or be empty."""
