"""The rows kept apart, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.backends.local import sizes
from tunekit.backends.local.aimed import Aimed, has_reference, imitated
from tunekit.backends.local.rows import pairs
from tunekit.data.mask import Pair, Prompt, Tokens, prompt
from tunekit.data.render import read
from tunekit.data.rows import Row
from tunekit.data.tokens import Asked
from tunekit.evaluation.aims import scores
from tunekit.evaluation.clusters import clusters
from tunekit.evaluation.differences import Clusters
from tunekit.evaluation.forward import Scored, score
from tunekit.evaluation.generate import answers
from tunekit.evaluation.measure import measure_pairs, measurement, undisturbed
from tunekit.evaluation.measurement import Measurement


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows as tokens, and the prompts that both models answer."""

    tokens: Sequence[Tokens]
    pairs: Sequence[Pair]
    prompts: Sequence[Prompt]
    max_new_tokens: int
    tokenizer: Any
    aimed: Aimed
    clusters: Clusters

    @classmethod
    def read(cls, request: dict[str, Any], tokenizer: Any) -> HeldOut | None:
        """Tokenise the validation file, or give None when there is nothing to compare."""
        wanted = request["evaluation"]
        if request["validation"] is None or not (wanted["enabled"] or wanted["curve"]):
            return None
        rows = list(read(Path(request["validation"])))
        limit = request["data"]["max_length"]
        asked = [row for row in rows if has_reference(row)][: wanted["generations"]]
        prompts = [prompt(row, tokenizer) for row in asked]
        tokens = imitated(rows, request, tokenizer)
        preferences = pairs(rows, tokenizer, limit)
        references = [item.reference for item in prompts]
        return cls(
            tokens=tokens,
            pairs=preferences,
            prompts=prompts,
            max_new_tokens=wanted["max_new_tokens"] or sizes.length(tokenizer, references),
            tokenizer=tokenizer,
            aimed=Aimed.read(rows, request, tokenizer),
            clusters=_clusters(rows, tokens, asked, preferences),
        )

    @property
    def texts(self) -> list[str]:
        """The prompts as text."""
        return [item.text for item in self.prompts]

    @property
    def references(self) -> list[str]:
        """The answers that the rows hold."""
        return [item.reference for item in self.prompts]

    def measure(self, model: Any) -> tuple[Measurement, list[Scored]]:
        """Measure the model as it is at this moment; gives its scores row by row as well."""
        with undisturbed(model):
            found = score(model, self.tokens)
            said = answers(model, self.tokenizer, self.prompts, length=self.max_new_tokens)
        more: dict[str, Any] = {"aims": self.aimed.measure(model, self.tokenizer)}
        if self.pairs:
            more["pairs"] = (scores if self.aimed.scores else measure_pairs)(model, self.pairs)
        return measurement(found, said).model_copy(update=more), found


def _clusters(
    rows: Sequence[Row], tokens: Sequence[Tokens], asked: Sequence[Row], pairs: Sequence[Pair]
) -> Clusters:
    """Give the cluster of every item that is measured, by the row it comes from."""
    by_line = dict(zip((row.where.line for row in rows), clusters(rows), strict=True))

    def of(items: Sequence[Tokens | Pair | Row | Asked]) -> list[int]:
        lines = [item.where.line if item.where else None for item in items]
        if None in lines:
            return []
        return [by_line[line] for line in lines if line is not None]

    return Clusters(rows=of(tokens), prompts=of(asked), pairs=of(pairs))
