"""Time the local backend against a plain TRL script on the same rows, in turn, one process each.

    python benchmarks/local.py [--model embedded:smollm2-135m] [--steps 12] [--repeats 3]

Prints the time from start to the first step, tokens per second over the steps after it, peak
memory of the training process, and the median of the ratios taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tunekit as tk

DATA = Path(__file__).parent.parent / "examples" / "data" / "support.jsonl"
BATCH = 8

PLAIN = """
import json, resource, sys, time
import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

model, data, steps, dtype, batch, out = sys.argv[1:]
rows = load_dataset("json", data_files=data, split="train", cache_dir=out)
rows = rows.map(
    lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
    remove_columns=rows.column_names,
)
marks = []
class Clock(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            marks.append((time.time(), logs["num_tokens"]))

cuda = torch.cuda.is_available()
set_seed(42)
trainer = SFTTrainer(
    model=AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)),
    args=SFTConfig(
        output_dir=out, per_device_train_batch_size=int(batch), max_steps=int(steps),
        learning_rate=5e-4, logging_steps=1, save_strategy="no", report_to="none",
        use_cpu=not cuda, bf16=cuda, seed=42, disable_tqdm=True, gradient_checkpointing=False,
    ),
    train_dataset=rows,
    processing_class=AutoTokenizer.from_pretrained(model),
    peft_config=LoraConfig(
        r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
    ),
    callbacks=[Clock()],
)
trainer.train()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"marks": marks, "peak": peak}))
"""


def ours(model: str, data: Path, *, steps: int, dtype: str) -> dict[str, float]:
    """Run the worker and read its events."""
    spec = tk.FineTune(
        model=model,
        data=data,
        method={"type": "lora", "rank": 16},
        training={
            "max_steps": steps,
            "batch_size": BATCH,
            "learning_rate": 5e-4,
            "dtype": dtype,
            "gradient_checkpointing": False,
            "checkpoint_steps": 10_000,
        },
        validation=None,
        evaluation={"enabled": False},
    )
    start = time.time()
    run = tk.submit(spec)
    peak = 0.0
    marks: list[tuple[float, float]] = []
    for event in run.events():
        if event.kind == "metrics" and "loss" in event.metrics:
            marks.append((event.time, event.metrics["num_tokens"]))
            peak = max(peak, peak_of(run))
    run.wait()
    return _figures(start, marks, peak)


def theirs(model: str, data: Path, *, steps: int, dtype: str) -> dict[str, float]:
    """Run the plain script."""
    with tempfile.TemporaryDirectory() as out:
        start = time.time()
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, model, data, str(steps), dtype, str(BATCH), out],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    return _figures(start, answer["marks"], answer["peak"])


def compare(model: str, data: Path, *, steps: int, dtype: str, repeats: int) -> None:
    """Measure both in turn, and print a table."""
    pairs = []
    for number in range(repeats):
        pair = (
            theirs(model, data, steps=steps, dtype=dtype),
            ours(model, data, steps=steps, dtype=dtype),
        )
        pairs.append(pair)
        print(f"{number + 1}/{repeats}: {pair}", file=sys.stderr)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {dtype}, {steps} steps of {BATCH} rows")
    print("| figure | TRL | tunekit | ratio, median of pairs |")
    print("| --- | --- | --- | --- |")
    for name in pairs[0][0]:
        left, right = ([side[name] for side in sides] for sides in zip(*pairs, strict=True))
        ratio = statistics.median(r / t for t, r in zip(left, right, strict=True))
        middle = [statistics.median(left), statistics.median(right)]
        print(f"| {name} | {middle[0]:.1f} | {middle[1]:.1f} | {ratio:.2f} |")


def peak_of(run: tk.Run) -> float:
    """Read the worker's largest resident size so far, in MB; 0 before and after its life."""
    try:
        worker = json.loads((run.folder / "job" / "worker.json").read_bytes())
        status = Path(f"/proc/{worker['pid']}/status").read_text()
    except FileNotFoundError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def _figures(start: float, marks: list[Any], peak: float) -> dict[str, float]:
    (first, before), (last, total) = marks[0], marks[-1]
    return {
        "first step after, s": first - start,
        "tokens/s": (total - before) / (last - first),
        "peak memory, MB": peak,
    }


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    from tunekit.backends.local.models import locate

    with tempfile.TemporaryDirectory() as home:
        model = locate(options.model)
        os.environ["TUNEKIT_HOME"] = home
        compare(model, DATA, steps=options.steps, dtype=options.dtype, repeats=options.repeats)


if __name__ == "__main__":
    main()
