"""Answers that are imitated."""

from __future__ import annotations

from typing import ClassVar, Literal

from tunekit.spec.strict import Auto, Strict


class SFT(Strict):
    """Supervised fine-tuning: raise the likelihood of the answers."""

    type: Literal["sft"] = "sft"
    """The answers are imitated."""
    row_kinds: ClassVar[frozenset[str]] = frozenset({"conversation", "completion", "text"})
    train_on: Auto | Literal["assistant", "completion", "all"] = "auto"
    """Tokens that count: every assistant turn, the last answer only, or all.
    "auto": "assistant" for conversations, "completion" for prompt/completion, "all" for text."""
