"""Rows and prompts for the tiny model."""

from __future__ import annotations

import random
from typing import Any

from tunekit.data.tokens import Pair, Prompt, Tokens


def labelled(count: int, *, seed: int = 0, longest: int = 40) -> list[Tokens]:
    """Rows of mixed length; about half of the tokens count, in pieces."""
    pick = random.Random(seed)
    rows: list[Tokens] = []
    for _ in range(count):
        ids = [pick.randrange(4, 320) for _ in range(pick.randint(2, longest))]
        labels = [id if pick.random() < 0.5 else -100 for id in ids]
        labels[-1] = ids[-1]
        rows.append(Tokens(input_ids=ids, labels=labels))
    return rows


def pairs(count: int, *, seed: int = 0) -> list[Pair]:
    pick = random.Random(seed)

    def ids(longest: int) -> list[int]:
        return [pick.randrange(4, 320) for _ in range(pick.randint(1, longest))]

    return [Pair(prompt_ids=ids(9), chosen_ids=ids(9), rejected_ids=ids(9)) for _ in range(count)]


def asked(tokenizer: Any, *texts: str) -> list[Prompt]:
    return [Prompt(list(tokenizer(text)["input_ids"]), text, "") for text in texts]


def longer(answer: str, reference: str) -> int:
    """A user's own metric."""
    return len(answer) - len(reference)
