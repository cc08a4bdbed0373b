"""The rows kept apart, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.backends.local.rows import pairs, tokens
from tunekit.data.mask import Pair, Prompt, Tokens, prompt
from tunekit.data.render import read
from tunekit.data.rows import Text
from tunekit.evaluation.compare import Measurement
from tunekit.evaluation.measure import measure, measure_pairs


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows as tokens, and the prompts that both models answer."""

    tokens: Sequence[Tokens]
    pairs: Sequence[Pair]
    prompts: Sequence[Prompt]
    max_new_tokens: int
    tokenizer: Any

    @classmethod
    def read(cls, request: dict[str, Any], tokenizer: Any) -> HeldOut | None:
        """Tokenise the validation file, or give None when there is nothing to compare."""
        wanted = request["evaluation"]
        if not wanted["enabled"] or request["validation"] is None:
            return None
        rows = list(read(Path(request["validation"])))
        limit = request["data"]["max_length"]
        asked = [row for row in rows if not isinstance(row, Text)][: wanted["generations"]]
        preferences = pairs(rows, tokenizer, limit)
        chosen = [_chosen(pair) for pair in preferences]
        train_on = request["data"]["train_on"]
        return cls(
            tokens=chosen or tokens(rows, tokenizer, train_on, limit),
            pairs=preferences,
            prompts=[prompt(row, tokenizer) for row in asked],
            max_new_tokens=wanted["max_new_tokens"],
            tokenizer=tokenizer,
        )

    @property
    def texts(self) -> list[str]:
        """The prompts as text."""
        return [item.text for item in self.prompts]

    @property
    def references(self) -> list[str]:
        """The answers that the rows hold."""
        return [item.reference for item in self.prompts]

    def measure(self, trainer: Any) -> Measurement:
        """Measure the model as it is at this moment."""
        model = trainer.accelerator.unwrap_model(trainer.model)
        found = measure(
            model,
            self.tokenizer,
            tokens=self.tokens,
            prompts=self.prompts,
            max_new_tokens=self.max_new_tokens,
        )
        if not self.pairs:
            return found
        return found.model_copy(update={"pairs": measure_pairs(model, self.pairs)})


def _chosen(pair: Pair) -> Tokens:
    """Score the chosen answer alone."""
    return Tokens(
        input_ids=[*pair.prompt_ids, *pair.chosen_ids],
        labels=[-100] * len(pair.prompt_ids) + list(pair.chosen_ids),
    )
