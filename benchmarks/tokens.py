"""Rendering and tokenising chats for training, beside TRL's own preparation; a process each.

`python benchmarks/tokens.py [MEGABYTES]`, 5 by default. The tokenizer is the embedded model's, the
template Qwen2.5's; TRL gets the copy with marks that it brings, and both train the assistant's
turns alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from data import write

from tunekit import embedded
from tunekit.data import render
from tunekit.data.prepare import prepare
from tunekit.spec.finetune import FineTune

OURS = """
from pathlib import Path
from tunekit.backends.local.rows import tokenized
request = {"data": {"max_length": 2048, "train_on": "assistant"}}
begun = time.perf_counter()
made = tokenized(Path(source), request, tokenizer).columns
rows, ids = len(made["labels"]), made["input_ids"]
"""
TRL = """
import datasets
from trl import SFTConfig, SFTTrainer
datasets.disable_progress_bars()
data = datasets.load_dataset("json", data_files=source, cache_dir=cache, split="train")
data = data.select_columns("messages")
trainer = SFTTrainer.__new__(SFTTrainer)
trainer._tokenizer, trainer.completion_only_loss = tokenizer, None
trainer.chat_template = tokenizer.chat_template
args = SFTConfig(output_dir=cache, assistant_only_loss=True, max_length=2048, use_cpu=True,
                 bf16=False, dataset_num_proc=PROCESSES, report_to="none")
begun = time.perf_counter()
made = trainer._prepare_dataset(data, processing_class=tokenizer, args=args, packing=False,
                                formatting_func=None, dataset_name="train")
rows, ids = len(made), made["input_ids"]
"""
FRAME = """
import sys, time
from pathlib import Path
import trl.chat_template_utils
from transformers import AutoTokenizer
source, model, cache, name = sys.argv[1:]
folder = Path(trl.chat_template_utils.__file__).parent / "chat_templates"
tokenizer = AutoTokenizer.from_pretrained(model)
tokenizer.chat_template = (folder / name).read_text()
{way}
taken = time.perf_counter() - begun
print(rows, sum(map(len, ids)), taken)
"""
WAYS = {
    "TRL": (TRL.replace("PROCESSES", "None"), "qwen2_5_training.jinja"),
    "TRL, dataset_num_proc=2": (TRL.replace("PROCESSES", "2"), "qwen2_5_training.jinja"),
    "tunekit": (OURS, "qwen2_5.jinja"),
}


def measure(way: str, template: str, source: Path) -> tuple[int, int, float]:
    """Give rows, tokens and seconds."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                FRAME.format(way=way),
                source,
                embedded.folder(),
                cache,
                template,
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    if done.returncode:
        sys.exit(done.stderr)
    rows, tokens, taken = done.stdout.split()
    return int(rows), int(tokens), float(taken)


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        raw, source = Path(folder, "raw.jsonl"), Path(folder, "rows.jsonl")
        write(raw, megabytes=megabytes)
        ready = prepare(FineTune(model=embedded.MODEL, data=str(raw), validation=None))
        render.write(ready.train, source)
        taken: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(3):
            for name, (way, template) in WAYS.items():
                rows, tokens, seconds = measure(way, template, source)
                taken[name].append(seconds)
                print(f"{name}: {rows} rows, {tokens} tokens, {seconds:.2f} s", flush=True)
        for name, seconds in taken.items():
            ratios = [theirs / s for theirs, s in zip(taken["TRL"], seconds, strict=True)]
            print(f"{name}: {statistics.median(ratios):.2f} times as fast as TRL in one process")


if __name__ == "__main__":
    main()
