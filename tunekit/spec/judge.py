"""A model that compares answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunekit.spec.strict import Strict


class Judge(Strict):
    """A model that says which of two answers is better, behind an OpenAI-compatible address."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    """Base address, such as https://api.example.com/v1; asked is /chat/completions under it."""
    model: Annotated[str, Field(min_length=1)]
    """What the service calls the judge."""
    key: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of the environment variable that holds the key; None sends none."""
    question: Annotated[str, Field(min_length=1)] = (
        "Which answer serves the user better: correct, complete, and no longer than needed?"
    )
    """What the judge is to decide by."""
