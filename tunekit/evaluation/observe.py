"""What base and tuned model make of general texts; first the base is observed, then the tuned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunekit.data.tokens import IGNORED, Tokens
from tunekit.evaluation import general
from tunekit.evaluation.forgetting import Divergence, Losses
from tunekit.evaluation.forward import Scored, log_probabilities, score
from tunekit.evaluation.generate import samples
from tunekit.evaluation.measure import undisturbed
from tunekit.files import write_atomic
from tunekit.home import home

LENGTH = 24
"""Tokens that the base says to each prompt."""
_SEED = 0


@dataclass
class Observer:
    """Observes the base, keeps what it said, and compares the tuned model with it."""

    tokenizer: Any
    count: int
    """Passages, and prompts."""
    length: int = LENGTH
    key: str | None = None
    """Tells the base from others; what it says is kept under the tunekit home."""
    _losses: list[Scored] = field(default_factory=list[Scored], init=False)
    _said: list[Tokens] = field(default_factory=list[Tokens], init=False)
    _expected: dict[int, Any] = field(default_factory=dict[int, Any], init=False)

    def base(self, model: Any) -> None:
        """Observe the base: its loss on passages, and what it says to prompts, word by word."""
        with undisturbed(model):
            self._losses = score(model, general.passages(self.tokenizer, self.count))
            self._said = self._continued(model)
            found = log_probabilities(model, self._said)
            self._expected = {row: logs.cpu() for row, logs in found}

    def take(self, other: Observer) -> bool:
        """Take over what another has observed of the base, if it is the same; says whether."""
        if (self.count, self.length, self.key) != (other.count, other.length, other.key):
            return False
        self._losses, self._said, self._expected = other._losses, other._said, other._expected
        return True

    def tuned(self, model: Any) -> tuple[Losses, list[Divergence]]:
        """Compare the tuned model with the base: loss on passages, and divergence token by token.

        The divergence is that of the whole vocabulary: the sum over all tokens of
        p log(p / q), p the base's probability and q the tuned model's.
        """
        with undisturbed(model):
            losses = score(model, general.passages(self.tokenizer, self.count))
            found = [
                diverged(self._expected[row].to(logs.device), logs)
                for row, logs in log_probabilities(model, self._said)
            ]
        return Losses(*(_sums(side) for side in (self._losses, losses))), found

    def _continued(self, model: Any) -> list[Tokens]:
        """Give what the base says to the prompts, drawn once for each base."""
        asked = general.prompts(self.tokenizer, self.count)
        kept = self._kept(asked)
        if kept is not None and kept.exists():
            said: list[list[int]] = json.loads(kept.read_bytes())
        else:
            said = samples(model, self.tokenizer, asked, length=self.length, seed=_SEED)
            if kept is not None:
                kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomic(kept, json.dumps(said))
        return [
            Tokens([*prompt, *answer], [IGNORED] * len(prompt) + answer)
            for prompt, answer in zip(asked, said, strict=True)
            if answer
        ]

    def _kept(self, asked: Sequence[Sequence[int]]) -> Path | None:
        if self.key is None:
            return None
        # Another template or tokenizer makes other prompts of the same texts.
        content = json.dumps([self.key, self.length, _SEED, asked]).encode()
        return home() / "cache" / "said" / f"{hashlib.sha256(content).hexdigest()[:32]}.json"


def diverged(expected: Any, found: Any) -> Divergence:
    """Sum KL(base || tuned) over the tokens of one answer.

    Args:
        expected: Log-probabilities of the base, float32, [tokens, vocabulary].
        found: Those of the tuned model.
    """
    wanted, given = expected.double(), found.double()
    divergence = (wanted.exp() * (wanted - given)).sum()
    # Where several tokens are about as likely, which of them comes first says nothing.
    sure = wanted.exp().amax(-1) > 0.5
    same = expected.argmax(-1) == found.argmax(-1)
    return Divergence(float(divergence), len(expected), int(sure.sum()), int((sure & same).sum()))


def _sums(rows: Sequence[Scored]) -> list[tuple[float, int]]:
    return [(row.total, row.count) for row in rows]
