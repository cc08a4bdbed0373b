"""General texts and prompts, shipped with the package: what a model should not forget.

`texts/general.jsonl` holds 64 passages and 64 prompts, each with its area and source: excerpts of
works in the public domain, and texts written for tunekit. The areas take turns, so that any first
part has all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from tunekit.data.tokens import Tokens

_LONGEST = 96
"""Tokens of a passage that are measured."""


@dataclass(frozen=True)
class Passage:
    """A text or a prompt, and where it comes from."""

    kind: str
    """`passage` or `prompt`."""
    area: str
    source: str
    text: str


@cache
def everything() -> tuple[Passage, ...]:
    """Read the texts that are shipped."""
    held = files("tunekit.evaluation").joinpath("texts/general.jsonl")
    lines = held.read_text(encoding="utf-8").splitlines()
    return tuple(Passage(**json.loads(line)) for line in lines)


def passages(tokenizer: Any, count: int) -> list[Tokens]:
    """Tokenise the first so many passages; every token but the first counts."""
    ids = [
        [int(token) for token in tokenizer(passage.text)["input_ids"]][:_LONGEST]
        for passage in _of("passage")[:count]
    ]
    return [Tokens(row, list(row)) for row in ids]


def prompts(tokenizer: Any, count: int) -> list[list[int]]:
    """Tokenise the first so many prompts: as a chat where the tokenizer has a template."""
    return [asked(tokenizer, passage.text) for passage in _of("prompt")[:count]]


def _of(kind: str) -> Sequence[Passage]:
    return [passage for passage in everything() if passage.kind == kind]


def asked(tokenizer: Any, text: str) -> list[int]:
    """Tokenise a prompt: as a chat where the tokenizer has a template."""
    if not getattr(tokenizer, "chat_template", None):
        return [int(token) for token in tokenizer(f"{text}\n")["input_ids"]]
    turns = [{"role": "user", "content": text}]
    written = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return [int(token) for token in tokenizer(written, add_special_tokens=False)["input_ids"]]
