"""Rows for each objective, and a reward that a model without training can earn."""

from __future__ import annotations

import itertools
from typing import Any

from tests.local.specs import WORDS

PAIRS: list[dict[str, Any]] = [
    {"prompt": f"{number} {first}", "chosen": f" {first} {second}", "rejected": f" {second}"}
    for number, (first, second) in enumerate(itertools.product(WORDS[:4], WORDS[4:8]))
]
JUDGED: list[dict[str, Any]] = [
    {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
    for pair in PAIRS
    for side in ("chosen", "rejected")
]
PROMPTS: list[dict[str, Any]] = [
    {"prompt": [{"role": "user", "content": f"{number} {word}"}], "wanted": "t", "number": number}
    for number, word in enumerate(WORDS)
]


def letters(completions: list[Any], wanted: list[str], **columns: Any) -> list[float]:
    """Count the letter that a row wants."""
    return [
        float(completion[-1]["content"].count(letter))
        for completion, letter in zip(completions, wanted, strict=True)
    ]
