"""Time the local backend against a plain TRL script on the same rows, in turn, one process each.

    python benchmarks/local.py [--model embedded:smollm2-135m] [--steps 12] [--repeats 3]

Prints tokens per second over the steps after the first, time from start to the first step, peak
memory, and the median of the ratios taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tunekit as tk

DATA = Path(__file__).parent.parent / "examples" / "data" / "support.jsonl"

PLAIN = """
import json, resource, sys, time
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer
import torch
model, data, steps, dtype, out = sys.argv[1:]
rows = load_dataset("json", data_files=data, split="train", cache_dir=out)
def split(row):
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}
rows = rows.map(split, remove_columns=rows.column_names)
class Clock(TrainerCallback):
    marks = []
    def on_log(self, args, state, control, logs=None, **kw):
        if "loss" in logs:
            self.marks.append((time.time(), logs["num_tokens"]))
cuda = torch.cuda.is_available()
set_seed(42)
trainer = SFTTrainer(
    model=AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)),
    args=SFTConfig(output_dir=out, per_device_train_batch_size=4, gradient_accumulation_steps=2,
        max_steps=int(steps), learning_rate=5e-4, logging_steps=1, save_strategy="no",
        report_to="none", use_cpu=not cuda, bf16=cuda, seed=42, disable_tqdm=True),
    train_dataset=rows, processing_class=AutoTokenizer.from_pretrained(model),
    peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    callbacks=[Clock()])
trainer.train()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"marks": Clock.marks, "peak": peak}))
"""


def ours(model: str, steps: int, dtype: str, home: Path) -> dict[str, float]:
    """Run the worker and read its events."""
    os.environ["TUNEKIT_HOME"] = str(home)
    spec = tk.FineTune(
        model=model,
        data=DATA,
        method={"type": "lora", "rank": 16},
        training={
            "max_steps": steps,
            "batch_size": 8,
            "learning_rate": 5e-4,
            "dtype": dtype,
            "checkpoint_steps": 10_000,
        },
        validation=None,
        evaluation={"enabled": False},
    )
    start = time.time()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    run = tk.run(spec, progress=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    marks = [
        (event.time, event.metrics["num_tokens"])
        for event in run.events(follow=False)
        if event.kind == "metrics" and "loss" in event.metrics
    ]
    return figures(start, marks, max(before, after) / 1024)


def theirs(model: str, steps: int, dtype: str, home: Path) -> dict[str, float]:
    """Run the plain script."""
    with tempfile.TemporaryDirectory() as out:
        start = time.time()
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, model, str(DATA), str(steps), dtype, out],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    return figures(start, answer["marks"], answer["peak"])


def figures(start: float, marks: list[Any], peak: float) -> dict[str, float]:
    """Give start-up, speed and memory of one process."""
    (first, before), (last, total) = marks[0], marks[-1]
    return {
        "first step after s": first - start,
        "tokens per s": (total - before) / (last - first),
        "peak MB": peak,
    }


def main() -> None:
    """Measure in turn, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    from tunekit.backends.local.models import locate

    folder = locate(options.model)
    home = Path(tempfile.mkdtemp())
    pairs = []
    for _ in range(options.repeats):
        a = theirs(folder, options.steps, options.dtype, home)
        b = ours(folder, options.steps, options.dtype, home)
        pairs.append((a, b))
        print(f"TRL {a}\ntunekit {b}", file=sys.stderr)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {options.dtype}")
    print("| figure | TRL | tunekit | ratio (median of pairs) |\n|---|---|---|---|")
    for name in pairs[0][0]:
        left, right = ([side[name] for side in sides] for sides in zip(*pairs, strict=True))
        ratio = statistics.median(r / t for t, r in zip(left, right, strict=True))
        middle = [statistics.median(left), statistics.median(right)]
        print(f"| {name} | {middle[0]:.1f} | {middle[1]:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
