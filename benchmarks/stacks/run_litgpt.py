"""LitGPT, under its own interpreter: MODEL ROWS STEPS BATCH OUT.

It reads single turns only, and counts padding in its own tokens per second; the real tokens come
from its log. Its conversion of the model, once per model, is not part of the figures.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from litgpt.args import EvalArgs, TrainArgs
from litgpt.data import JSON
from litgpt.finetune.lora import setup
from litgpt.scripts.convert_hf_checkpoint import convert_hf_checkpoint
from marks import Marks

LORA: dict[str, Any] = {
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "lora_key": True,
    "lora_projection": True,
    "lora_mlp": True,
}


def main(model: str, rows: str, steps: str, batch: str, out: str) -> None:
    """Train rank 16 on all linear layers in bfloat16, on every token of the rows."""
    checkpoint = Path(out) / "SmolLM2-135M-Instruct"
    shutil.copytree(model, checkpoint)
    convert_hf_checkpoint(checkpoint)
    chats = [json.loads(line)["messages"] for line in Path(rows).read_text().splitlines()]
    pairs = [
        {"instruction": chat[-2]["content"], "output": chat[-1]["content"]}
        for chat in chats
        if len(chat) <= 3
    ]
    data = Path(out) / "rows.json"
    data.write_text(json.dumps([*pairs, pairs[-1]]))
    marks = Marks()
    # It reads the command line again, to save what it was called with, and merges by that.
    said = [f"--{name}={str(value).lower()}" for name, value in LORA.items()]
    sys.argv[1:] = [str(checkpoint), *said]
    setup(
        checkpoint,
        out_dir=Path(out) / "run",
        precision="bf16-true",
        **LORA,
        data=JSON(data, val_split_fraction=1 / (len(pairs) + 1), num_workers=0),
        train=TrainArgs(
            save_interval=None,
            log_interval=1,
            global_batch_size=int(batch),
            micro_batch_size=int(batch),
            lr_warmup_steps=1,
            epochs=100,
            max_steps=int(steps),
        ),
        eval=EvalArgs(interval=10_000, final_validation=False, max_new_tokens=1, max_iters=1),
        seed=42,
    )
    logged = next((Path(out) / "run").rglob("metrics.csv"))
    with logged.open() as file:
        steps_logged = [row for row in csv.DictReader(file) if row.get("iter_time")]
    at = time.time() - sum(float(row["iter_time"]) for row in steps_logged)
    for row in steps_logged:
        at += float(row["iter_time"])
        marks.times.append(at)
        marks.tokens.append(float(row["tokens"]))
        marks.losses.append(float(row["loss"]))
    marks.say()


if __name__ == "__main__":
    main(*sys.argv[1:])
