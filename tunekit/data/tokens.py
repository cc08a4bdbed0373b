"""What a row is once it is tokenized."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.data.rows import Prompt as RowPrompt
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
class Judgement:
    """A prompt and an answer that was judged."""

    prompt_ids: list[int]
    completion_ids: list[int]
    label: bool
    """Whether such answers are wanted."""
    complete: bool = True
    where: Where | None = None


@dataclass(frozen=True)
class Asked:
    """A prompt to which the model writes answers while it is trained."""

    prompt_ids: list[int]
    row: RowPrompt
    complete: bool = True
    """Prompt and answer fit into the model."""

    @property
    def where(self) -> Where:
        """The place the row came from."""
        return self.row.where


Sample = Tokens | Pair | Judgement
"""A row that is trained on by its tokens."""


@dataclass(frozen=True)
class Prompt:
    """What a model is asked to continue, and the answer that was held out."""

    input_ids: list[int]
    text: str
    reference: str
