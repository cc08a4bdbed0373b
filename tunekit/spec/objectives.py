"""What the training rewards, and which kind of rows that takes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from tunekit.spec.strict import Auto, Strict


class SFT(Strict):
    """Supervised fine-tuning: raise the likelihood of the answers."""

    type: Literal["sft"] = "sft"
    """The answers are imitated."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"conversation", "completion", "text"})
    train_on: Auto | Literal["assistant", "completion", "all"] = "auto"
    """Tokens that count: every assistant turn, the last answer only, or all.
    "auto": "assistant" for conversations, "completion" for prompt/completion, "all" for text."""


class DPO(Strict):
    """Direct preference optimisation: prefer the chosen answer.

    Rafailov et al. 2023, arXiv 2305.18290.
    """

    type: Literal["dpo"] = "dpo"
    """Better answers are preferred to worse ones."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Strength of the pull towards the base model; larger stays closer."""


def _shorthand(value: Any) -> Any:
    return {"type": value.lower()} if isinstance(value, str) else value


ObjectiveName = Literal["sft", "dpo"]

_Tagged = Annotated[SFT | DPO, Field(discriminator="type")]

Objective = Annotated[
    _Tagged,
    BeforeValidator(_shorthand, json_schema_input_type=ObjectiveName | _Tagged),
]
