"""Time LoRA and QLoRA on a CUDA device, on a Llama of about a billion random weights.

Random weights serve: speed and memory do not depend on what the model knows.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import local  # noqa: E402

import tunekit as tk  # noqa: E402
from tests.local.specs import chats  # noqa: E402
from tests.tiny import tiny_tokenizer  # noqa: E402

SIZES = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 4096,
}


def build(folder: Path) -> None:
    """Save a model of Llama-3.2-1B's shape, with the small vocabulary of the tests."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 4096
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **SIZES)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def qlora(model: Path, data: Path) -> None:
    """Print the speed of a short 4-bit run."""
    spec = tk.FineTune(
        model=model,
        data=data,
        method={"type": "qlora", "rank": 16},
        training={"max_steps": 20, "batch_size": local.BATCH, "learning_rate": 5e-4},
        validation=None,
        evaluation={"enabled": False},
    )
    run = tk.run(spec, progress=False)
    speeds = [
        event.metrics["tokens_per_second"]
        for event in run.events(follow=False)
        if event.kind == "metrics" and "tokens_per_second" in event.metrics
    ]
    print(f"QLoRA nf4: {sorted(speeds)[len(speeds) // 2]:,.0f} tokens/s, median of the steps")


def main() -> None:
    """Build the model and the rows, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["TUNEKIT_HOME"] = str(place / "home")
        build(place / "model")
        data = place / "rows.jsonl"
        data.write_text("\n".join(json.dumps(row) for row in chats(400, longest=400)))
        local.compare(str(place / "model"), data, steps=20, dtype="bfloat16", repeats=3)
        qlora(place / "model", data)


if __name__ == "__main__":
    main()
