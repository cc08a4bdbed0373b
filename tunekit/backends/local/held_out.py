"""The rows kept apart, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.backends.local import sizes
from tunekit.backends.local.aimed import Aimed, has_reference, imitated
from tunekit.backends.local.rows import pairs
from tunekit.data.mask import IGNORED, Pair, Prompt, Tokens, prompt
from tunekit.data.render import read
from tunekit.data.rows import Row
from tunekit.data.tokens import Asked
from tunekit.evaluation import inference
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
    places: Sequence[int]
    """Of each prompt, the row that holds it with its answer; -1 for none."""

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
            places=_places(prompts, asked, tokens),
        )

    @property
    def texts(self) -> list[str]:
        """The prompts as text."""
        return [item.text for item in self.prompts]

    @property
    def references(self) -> list[str]:
        """The answers that the rows hold."""
        return [item.reference for item in self.prompts]

    def _begun(self, number: int, scored: Sequence[Scored]) -> list[int]:
        """Give the tokens of a reference that the model would write too, from its first on."""
        place = self.places[number]
        if place < 0 or not scored[place].right:
            return []
        row, start = self.tokens[place], len(self.prompts[number].input_ids)
        labels = [n for n, label in enumerate(row.labels) if label != IGNORED and n > 0]
        right = dict(zip(labels, scored[place].right, strict=True))
        end = start
        while right.get(end):
            end += 1
        return row.input_ids[start:end]

    def _scored(self, model: Any, faster: inference.Inference | None) -> list[Scored]:
        """Score the rows; where it can be done, what is read of them is kept for the answers."""
        if faster is None:
            return score(model, self.tokens)
        hold = sorted({place for place in self.places if place >= 0})
        return faster.score(self.tokens, hold=hold, room=self.max_new_tokens)

    def measure(self, model: Any) -> tuple[Measurement, list[Scored]]:
        """Measure the model as it is at this moment; gives its scores row by row as well."""
        with undisturbed(model):
            faster = inference.of(model)
            found = self._scored(model, faster)
            said = answers(
                model,
                self.tokenizer,
                self.prompts,
                length=self.max_new_tokens,
                known=[self._begun(n, found) for n in range(len(self.prompts))],
                faster=faster,
            )
        more: dict[str, Any] = {"aims": self.aimed.measure(model, self.tokenizer)}
        if self.pairs:
            more["pairs"] = (scores if self.aimed.scores else measure_pairs)(model, self.pairs)
        return measurement(found, said).model_copy(update=more), found


def _places(prompts: Sequence[Prompt], asked: Sequence[Row], tokens: Sequence[Tokens]) -> list[int]:
    """Give the row that holds each prompt with its answer; -1 where no row begins with it."""
    by_line = {row.where.line: n for n, row in enumerate(tokens) if row.where}
    found = [by_line.get(row.where.line, -1) for row in asked]
    return [
        n if n >= 0 and tokens[n].input_ids[: len(item.input_ids)] == item.input_ids else -1
        for n, item in zip(found, prompts, strict=True)
    ]


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
