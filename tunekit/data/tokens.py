"""What a row is once it is tokenized."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.data.rows import Where
from tunekit.data.template import Span

IGNORED = -100
"""The label of a token that does not count for the loss."""


@dataclass(frozen=True)
class Tokens:
    """A row as the model sees it."""

    input_ids: list[int]
    labels: list[int]
    """The id itself where the loss counts, else `IGNORED`."""
    complete: bool = True
    """Nothing was cut off at the end."""
    others: tuple[Span, ...] = ()
    """Tokens of what system, user and tools said, where that is certain."""
    where: Where | None = None


@dataclass(frozen=True)
class Pair:
    """A prompt and two answers to it."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    complete: bool = True
    where: Where | None = None


@dataclass(frozen=True)
class Prompt:
    """What a model is asked to continue, and the answer that was held out."""

    input_ids: list[int]
    text: str
    reference: str
