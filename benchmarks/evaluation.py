"""Answers per second against transformers' `generate`.

`python benchmarks/evaluation.py`: the embedded model, prompts of the demo, greedy, 48 new tokens.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunekit import embedded
from tunekit.backends.local.fast.lending import lent
from tunekit.data.tokens import Prompt
from tunekit.evaluation.generate import answers

ROWS = Path(__file__).parent.parent / "examples" / "data" / "support_unseen.jsonl"
LENGTH = 48
BATCHES = (8, 16, 32, 50)
ROUNDS = 3


def prompts(tokenizer: Any) -> list[list[int]]:
    """Give the prompts of the demo's held-out rows."""
    rows = [json.loads(line)["messages"][:-1] for line in ROWS.read_text("utf-8").splitlines()]
    texts = [
        tokenizer.apply_chat_template(row, tokenize=False, add_generation_prompt=True)
        for row in rows
    ]
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def theirs(model: Any, tokenizer: Any, ids: list[list[int]], batch: int) -> int:
    """Let transformers answer, in the order given, padded on the left; gives the new tokens."""
    pad = tokenizer.pad_token_id
    made = 0
    for start in range(0, len(ids), batch):
        rows = ids[start : start + batch]
        width = max(map(len, rows))
        inputs = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        out = model.generate(
            input_ids=inputs, attention_mask=mask, max_new_tokens=LENGTH, do_sample=False
        )
        ends = {tokenizer.eos_token_id}
        for row in out[:, width:].tolist():
            made += next((n for n, token in enumerate(row) if token in ends), len(row))
    return made


def best(run: Callable[[], Any]) -> float:
    """Give the seconds of the fastest of a few rounds."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    """Print a table."""
    folder = embedded.folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    ids = prompts(tokenizer)
    asked = [Prompt(row, "", "") for row in ids]
    with torch.no_grad():
        tokens = theirs(model, tokenizer, ids, BATCHES[-1])
        print(f"{len(ids)} prompts, {tokens} new tokens, {torch.get_num_threads()} threads")
        for batch in BATCHES:
            seconds = best(lambda size=batch: theirs(model, tokenizer, ids, size))
            print(f"transformers, batch {batch:3}  {tokens / seconds:7.1f} tokens/s")
        with lent(model):
            seconds = best(lambda: answers(model, tokenizer, asked, length=LENGTH))
        print(f"tunekit                  {tokens / seconds:7.1f} tokens/s")


if __name__ == "__main__":
    main()
