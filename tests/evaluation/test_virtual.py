"""Answers of a model with virtual tokens before its prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.typed import typed
from tests.tiny import tiny_model, tiny_tokenizer
from tunekit.data.tokens import Prompt
from tunekit.evaluation.generate import answers


@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT's, of positions
@pytest.mark.parametrize("kind", ["PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"])
def test_a_prompt_is_answered_as_alone_however_long_its_neighbours_are(
    tmp_path: Path, kind: str
) -> None:
    model, tokenizer = typed(tiny_model(tmp_path), kind, noise=1.0), tiny_tokenizer()
    prompts = [
        Prompt(text="", reference="", input_ids=[1, *range(30 + length, 30 + 2 * length)])
        for length in (2, 60, 5, 90, 2, 7, 3)
    ]

    together = answers(model, tokenizer, prompts, length=12)

    assert together == [answers(model, tokenizer, [each], length=12)[0] for each in prompts]
