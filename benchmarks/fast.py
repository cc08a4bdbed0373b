"""Time our passes against TRL on the same rows in the same order, each run a process of its own.

    python benchmarks/fast.py sft|dpo|qlora|labels|lengths|exact|ceiling [--steps 6] [--repeats 3]

Stacks: TRL with its defaults (rows padded; no recomputation, which its defaults would add), TRL
with its best settings (rows joined, bfloat16, no recomputation), our worker with
`kernels="reference"` and with `kernels="fast"`. All get the worker's settings of threads and
allocator. Runs are interleaved and the medians of the repeats shown: real tokens per second over
the steps after the first, the largest resident memory, and the loss of each step. Close other
programs first.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import chats
from local import peak_of
from scratch import scratch

import tunekit as tk
from tunekit.backends.local.models import locate
from tunekit.backends.local.process import _environment

MODEL = "embedded:smollm2-135m"
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}

TRL = """
import json, resource, sys, time
import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from transformers import set_seed
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
rows = load_dataset("json", data_files=job["data"], split="train", cache_dir=job["out"])
if job["answers"]:
    rows = rows.map(
        lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
        remove_columns=rows.column_names,
    )
marks = []
class Clock(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            marks.append((time.time(), logs["num_tokens"], logs["loss"]))

cuda = torch.cuda.is_available()
dtype = getattr(torch, job["dtype"])
four_bits = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=dtype,
)
model = AutoModelForCausalLM.from_pretrained(
    job["model"], dtype=dtype, quantization_config=four_bits if job["quantized"] else None
)
Config, Trainer = (DPOConfig, DPOTrainer) if job["pairs"] else (SFTConfig, SFTTrainer)
set_seed(job["seed"])
trainer = Trainer(
    model=model,
    args=Config(
        output_dir=job["out"], per_device_train_batch_size=job["batch"], max_steps=job["steps"],
        learning_rate=job["rate"], lr_scheduler_type="constant", logging_steps=1,
        save_strategy="no", report_to="none", use_cpu=not cuda, seed=job["seed"],
        bf16=cuda and job["dtype"] == "bfloat16", disable_tqdm=True, max_length=None,
        gradient_checkpointing=job["recomputes"], use_liger_kernel=job["liger"],
        **({} if job["pairs"] else {"padding_free": job["joined"]}),
    ),
    train_dataset=rows,
    processing_class=AutoTokenizer.from_pretrained(job["model"]),
    peft_config=LoraConfig(**job["lora"], task_type="CAUSAL_LM"),
    callbacks=[Clock()],
)
trainer.train()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if cuda:
    peak = torch.cuda.max_memory_allocated() / 2**20
print(json.dumps({"marks": marks, "peak": peak}))
"""


@dataclass(frozen=True)
class Work:
    """What all stacks of a table train."""

    data: Path
    batch: int = 4
    steps: int = 6
    dtype: str = "bfloat16"
    pairs: bool = False
    train_on: str = "all"
    quantized: bool = False
    seed: int = 42
    rate: float = 1e-3
    model: str = MODEL


@dataclass(frozen=True)
class Measured:
    """One run."""

    start: float
    """Seconds from its start to the end of the first step."""
    speed: float
    """Real tokens per second over the steps after the first."""
    peak: float
    """Largest resident memory in MB; on a GPU, the most that was allocated there."""
    losses: list[float] = field(default_factory=list)


class Failed(SystemExit):
    """A stack that ended without figures; says what it printed."""


def trl(
    work: Work, *, joined: bool = False, recomputes: bool = False, liger: bool = False
) -> Measured:
    """Run a plain script over TRL."""
    with tempfile.TemporaryDirectory() as out:
        job = {
            **{name: value for name, value in vars(work).items() if name not in ("data",)},
            "model": locate(work.model),
            "data": str(work.data),
            "out": out,
            "joined": joined,
            "recomputes": recomputes,
            "liger": liger,
            "answers": work.train_on == "assistant",
            "threads": _threads(),
            "lora": LORA,
        }
        start = time.time()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", TRL, json.dumps(job)],
            capture_output=True,
            text=True,
            check=False,
            env={**settings(), "HF_HUB_OFFLINE": "1"},
        )
    if done.returncode:
        raise Failed(done.stderr)
    answer = json.loads(done.stdout.splitlines()[-1])
    return measured(start, answer["marks"], answer["peak"])


def ours(work: Work, *, kernels: Any, lora: bool = False, engine: Any = "peft") -> Measured:
    """Run the worker; with `lora` over a base that is not quantised."""
    quantized = work.quantized and not lora
    objective: Any = {"type": "dpo"} if work.pairs else {"type": "sft", "train_on": work.train_on}
    spec = tk.FineTune(
        model=work.model,
        data=work.data,
        objective=objective,
        method={"type": "qlora" if quantized else "lora", "rank": LORA["r"], "alpha": 32.0},
        training={
            "max_steps": work.steps,
            "batch_size": work.batch,
            "learning_rate": work.rate,
            "scheduler": "constant",
            "warmup_ratio": 0.0,
            "dtype": work.dtype,
            "seed": work.seed,
            "gradient_checkpointing": False,
            "checkpoint_steps": 10_000,
        },
        validation=None,
        evaluation={"enabled": False},
        # One portion for each step, as in the script.
        extra={
            "local": {
                "trainer": {
                    "per_device_train_batch_size": work.batch,
                    "gradient_accumulation_steps": 1,
                }
            }
        },
    )
    start = time.time()
    run = tk.submit(spec, tk.Local(kernels=kernels, engine=engine))
    on_gpu = run.plan.request["device"] == "cuda"
    marks: list[tuple[float, float, float]] = []
    peak = 0.0
    for event in run.events():
        if event.kind == "metrics" and "loss" in event.metrics:
            held = event.metrics["memory_bytes"] / 2**20 if on_gpu else peak_of(run)
            marks.append((event.time, event.metrics["num_tokens"], event.metrics["loss"]))
            peak = max(peak, held)
    run.wait()
    return measured(start, marks, peak)


Stack = Callable[[Work], Measured]
STACKS: dict[str, Stack] = {
    "TRL, defaults": lambda work: trl(work, joined=False),
    "TRL, best": lambda work: trl(work, joined=True),
    "tunekit, reference": lambda work: ours(work, kernels="reference"),
    "tunekit, fast": lambda work: ours(work, kernels="fast"),
}


def table(title: str, work: Work, stacks: dict[str, Stack], *, repeats: int) -> None:
    """Run all stacks in turn, several times, and print medians and ratios to the last."""
    found: dict[str, list[Measured]] = {name: [] for name in stacks}
    for number in range(repeats):
        for name, run in stacks.items():
            found[name].append(run(work))
            last = found[name][-1]
            print(f"  {number + 1}/{repeats} {name}: {last.speed:.0f} tokens/s", file=sys.stderr)
    print(f"\n{title}: {work.dtype}, {work.steps} steps of {work.batch}\n")
    print("| stack | tokens/s | fast is faster by | peak, MB | first step after, s | losses |")
    print("| --- | --- | --- | --- | --- | --- |")
    last = list(stacks)[-1]
    for name, runs in found.items():
        ratio = statistics.median(
            fast.speed / run.speed for fast, run in zip(found[last], runs, strict=True)
        )
        middle = [
            statistics.median(getattr(run, figure) for run in runs)
            for figure in ("speed", "peak", "start")
        ]
        losses = " ".join(f"{loss:.4f}" for loss in runs[-1].losses)
        print(
            f"| {name} | {middle[0]:.0f} | {ratio:.2f} | {middle[1]:.0f} | {middle[2]:.1f} "
            f"| {losses} |",
            flush=True,
        )


def sft(place: Path, *, steps: int, repeats: int) -> None:
    """Compare on mixed and on single-turn chats."""
    for kind in ("mixed", "single"):
        data = chats.write(place / f"{kind}.jsonl", kind, rows=steps * 4 + 8)
        table(f"SFT on {kind} chats", Work(data, steps=steps), STACKS, repeats=repeats)


def dpo(place: Path, *, steps: int, repeats: int) -> None:
    """Compare on pairs of answers."""
    data = chats.write(place / "pairs.jsonl", "pairs", rows=steps * 4 + 8)
    stacks = {name: run for name, run in STACKS.items() if name != "TRL, best"}
    work = Work(data, steps=steps, pairs=True, rate=1e-4)
    table("DPO", work, stacks, repeats=repeats)


def qlora(place: Path, *, steps: int, repeats: int) -> None:
    """Compare over a base in 4 bits, and with our LoRA."""
    data = chats.write(place / "mixed.jsonl", "mixed", rows=steps * 4 + 8)
    stacks: dict[str, Stack] = {
        "tunekit, fast, LoRA": lambda work: ours(work, kernels="fast", lora=True),
        **STACKS,
    }
    table("QLoRA nf4", Work(data, steps=steps, quantized=True), stacks, repeats=repeats)


def labels(place: Path, *, steps: int, repeats: int) -> None:
    """Show what the loss costs where fewer tokens are trained on."""
    data = chats.write(place / "mixed.jsonl", "mixed", rows=steps * 4 + 8)
    for train_on in ("all", "assistant", "completion"):
        work = Work(data, steps=steps, train_on=train_on)
        stacks = {"tunekit, fast": STACKS["tunekit, fast"]}
        table(f"SFT, labels on {train_on}", work, stacks, repeats=repeats)


def lengths(place: Path, *, steps: int, repeats: int) -> None:
    """Compare on long rows and on batches of 1 to 32."""
    stacks = {name: STACKS[name] for name in ("TRL, best", "tunekit, fast")}
    for words, batch in ((1600, 1), (3200, 1)):
        data = chats.texts(place / f"{words}.jsonl", words=words, rows=steps + 4)
        table(f"rows of {words} words", Work(data, batch, steps), stacks, repeats=repeats)
    for batch in (1, 8, 32):
        data = chats.write(place / f"{batch}.jsonl", "single", rows=batch * steps + 8)
        table(f"batches of {batch}", Work(data, batch, steps), stacks, repeats=repeats)


def exact(place: Path, *, steps: int, repeats: int) -> None:
    """Show the losses side by side: float32, bfloat16, and TRL with another seed."""
    steps = max(steps, 12)
    data = chats.write(place / "mixed.jsonl", "mixed", rows=steps * 4 + 8)
    runs: dict[str, list[float]] = {}
    for dtype in ("float32", "bfloat16"):
        work = Work(data, steps=steps, dtype=dtype)
        for name in ("TRL, defaults", "tunekit, fast"):
            runs[f"{name}, {dtype}"] = STACKS[name](work).losses
    other = replace(Work(data, steps=steps), seed=43)
    runs["TRL, defaults, bfloat16, another seed"] = STACKS["TRL, defaults"](other).losses
    print("\n| run | loss of each step |\n| --- | --- |")
    for name, losses in runs.items():
        print(f"| {name} | {' '.join(f'{loss:.4f}' for loss in losses)} |")
    for dtype in ("float32", "bfloat16"):
        pair = (runs[f"{name}, {dtype}"] for name in ("TRL, defaults", "tunekit, fast"))
        gap = max(abs(a - b) for a, b in zip(*pair, strict=True))
        print(f"largest difference in {dtype}: {gap:.5f}")


def ceiling(place: Path, *, steps: int, repeats: int) -> None:
    """Measure what the products of a step take alone, at their best, and what runs make of it."""
    done = subprocess.run(
        [sys.executable, __file__, "products"],
        env=settings(),
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    data = chats.write(place / "mixed.jsonl", "mixed", rows=steps * 4 + 8)
    for dtype in ("float32", "bfloat16"):
        work = Work(data, steps=steps, dtype=dtype)
        runs = [ours(work, kernels="fast").speed for _ in range(repeats)]
        print(f"runs on mixed chats in {dtype}: {statistics.median(runs):.0f} tokens/s", flush=True)


def products(tokens: int = 1024) -> None:
    """Time the products of SmolLM2-135M over so many tokens, all of them labelled."""
    import torch

    torch.set_num_threads(_threads())
    shapes = {(576, 960): 30, (576, 576): 30, (576, 3072): 30, (1536, 576): 30, (576, 49152): 1}
    print(f"\nproducts of {tokens} tokens, {_threads()} threads\n")
    print("| precision | TFLOP/s | tokens/s if a step were nothing else |\n| --- | --- | --- |")
    for dtype in (torch.float32, torch.bfloat16):
        seconds = operations = 0.0
        for (inner, outer), count in shapes.items():
            x, w = torch.randn(tokens, inner).to(dtype), torch.randn(outer, inner).to(dtype)
            y = x @ w.t()
            seconds += count * (_best(lambda: x @ w.t()) + _best(lambda: y @ w))  # noqa: B023
            operations += count * 4 * tokens * inner * outer
        print(
            f"| {str(dtype).removeprefix('torch.')} | {operations / seconds / 1e12:.2f} "
            f"| {tokens / seconds:.0f} |"
        )


def _best(product: Callable[[], Any], repeats: int = 7) -> float:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        product()
        times.append(time.perf_counter() - start)
    return min(times)


def settings() -> dict[str, str]:
    """Give the environment of every stack: threads and allocator as our worker has them."""
    return _environment({"threads": _threads()})


def measured(start: float, marks: Sequence[Any], peak: float) -> Measured:
    """Make figures of the time, the tokens so far and the loss at the end of each step."""
    (first, before, _), (last, total, _) = marks[0], marks[-1]
    speed = (total - before) / (last - first)
    return Measured(first - start, speed, peak, [loss for *_, loss in marks])


def _threads() -> int:
    return tk.Local().machine.threads


PARTS: dict[str, Callable[..., None]] = {
    "sft": sft,
    "dpo": dpo,
    "qlora": qlora,
    "labels": labels,
    "lengths": lengths,
    "exact": exact,
    "ceiling": ceiling,
}


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=[*PARTS, "products"])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.part == "products":
        products()
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, {_threads()} threads")
    locate(MODEL)  # converted before anything is timed
    with scratch() as place:
        PARTS[options.part](place, steps=options.steps, repeats=options.repeats)


if __name__ == "__main__":
    main()
