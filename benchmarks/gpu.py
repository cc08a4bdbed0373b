"""Train eight billion random weights on a CUDA device, beside TRL with Liger's kernels.

    python benchmarks/gpu.py [--minutes 5] [--lengths 2048 8192] [--tokens 8192]
        [--methods LoRA QLoRA] [--tiny]

The model has the shape of Llama 3.1 8B and random weights: speed and memory do not depend on what
a model knows. LoRA and QLoRA of rank 16 on all linear layers, bfloat16, rows of one length, so that
nobody pads, every token trained on; a process a run, real tokens per second over the steps behind
the first. Runs that do not fit are said to, and none is begun when the minutes are over. The last
table is the time of a step by kernel. `--tiny` tries the script itself out, anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from fast import Failed, Measured, Stack, Work, ours, trl  # noqa: E402

import tunekit as tk  # noqa: E402
from tests.tiny import tiny_tokenizer  # noqa: E402
from tunekit.models import describe  # noqa: E402
from tunekit.planning import flops  # noqa: E402
from tunekit.planning.shape import shape  # noqa: E402
from tunekit.spec.methods import LoRA  # noqa: E402

LLAMA = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
TINY = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
METHODS = ("LoRA", "QLoRA")
_PROFILE = "where the time of four steps goes:"
NEEDED = 24_000_000_000
"""Bytes of the model's file, and of what runs leave beside it."""
LIGER = find_spec("liger_kernel") is not None
STACKS: dict[str, Stack] = {
    "tunekit": lambda work: ours(work, kernels="fast"),
    f"TRL, {'Liger, ' if LIGER else ''}nothing computed again": lambda work: trl(work, liger=LIGER),
    "TRL, defaults": lambda work: trl(work, recomputes=True),
}
"""What is compared, the most telling ones first."""
if find_spec("unsloth"):
    STACKS["tunekit with Unsloth"] = lambda work: ours(work, kernels="auto", engine="unsloth")


def build(folder: Path, sizes: dict[str, int]) -> None:
    """Save a model and a tokenizer whose words are its first ones."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 16_384
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        **sizes,
        max_position_embeddings=16_384,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="bfloat16",
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    del model
    _give_back()


def _give_back() -> None:
    """Leave the device's memory to the runs."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def texts(path: Path, *, length: int, rows: int) -> Path:
    """Write rows of `length` tokens at most, and no more than a word below it."""
    tokenizer = tiny_tokenizer()
    with path.open("w") as file:
        for number in range(rows):
            words = ["user asks", "assistant answers", "json order", "parcel refund"]
            text = " ".join(words[(number + n) % len(words)] for n in range(length))
            ids = tokenizer(text, add_special_tokens=False)["input_ids"][: length - 2]
            file.write(json.dumps({"text": tokenizer.decode(ids)}) + "\n")
    return path


@dataclass(frozen=True)
class Device:
    """Where it is measured."""

    name: str
    product: float
    """Operations per second of a large product in bfloat16, measured."""

    @classmethod
    def measure(cls, size: int) -> Device:
        """Time a product of two square matrices."""
        import torch

        cuda = torch.cuda.is_available()
        x, y = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
        if cuda:
            x, y = x.cuda(), y.cuda()
        times: list[float] = []
        for _ in range(12):
            start = time.perf_counter()
            x @ y
            if cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        del x, y
        _give_back()
        name = torch.cuda.get_device_name() if cuda else "a CPU"
        return cls(name, 2 * size**3 / sorted(times)[len(times) // 2])


def runs(work: Work, until: float) -> Iterator[tuple[str, Measured | str]]:
    """Run each stack once while there is time; a word in the place of figures says why not."""
    for name, run in STACKS.items():
        if time.monotonic() > until:
            yield name, "no time left"
            continue
        try:
            yield name, run(work)
        except (Failed, tk.errors.TunekitError) as why:
            yield name, _reason(str(why))


def _reason(said: str) -> str:
    if "out of memory" in said.lower():
        return "out of memory"
    print(said[-3000:], file=sys.stderr)
    return (said.strip().splitlines() or ["failed"])[-1][:80]


def rows(title: str, work: Work, *, length: int, device: Device, until: float) -> None:
    """Print what each stack makes of some work."""
    size = shape(describe(work.model))
    assert size is not None
    each = flops.per_token(size, LoRA(), rank=16, length=length)
    for name, found in runs(work, until):
        if isinstance(found, str):
            print(f"| {title} | {name} | {found} | | | | | |", flush=True)
            continue
        useful = found.speed * each
        print(
            f"| {title} | {name} | {found.speed:,.0f} | {useful / device.product:.0%} "
            f"| {useful / 1e12:.0f} | {found.peak / 1024:.1f} | {found.start:.0f} "
            f"| {found.losses[0]:.3f} to {found.losses[-1]:.3f} |",
            flush=True,
        )


def lora(model: str, data: Path | str, batch: int, *, method: str, **more: Any) -> tk.FineTune:
    """Give what our runs train, without measuring."""
    return tk.FineTune(
        model=model,
        data=data,
        method={"type": method, "rank": 16},
        training={
            "batch_size": batch,
            "dtype": "bfloat16",
            "gradient_checkpointing": False,
            **more,
        },
        validation=None,
        evaluation={"enabled": False},
    )


def predicted(work: Work) -> float:
    """Give the memory in GiB that the plan of our run foresees."""
    method = "qlora" if work.quantized else "lora"
    plan = tk.plan(lora(work.model, work.data, work.batch, method=method), tk.Local(engine="peft"))
    return next(e.value for e in plan.estimates if e.name == "memory") * 1e9 / 2**30


def profile(model: str, data: str, batch: int) -> None:
    """Print where the time of a few steps goes, in this process."""
    import torch

    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    spec = lora(model, data, batch, method="lora", max_steps=4)
    with torch.profiler.profile(activities=activities) as found:
        tk.run(spec, tk.Local(in_process=True, engine="peft"), progress=False)
    key = f"self_{'device' if torch.cuda.is_available() else 'cpu'}_time_total"
    print(_PROFILE)
    print(found.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=60))


def profiled(work: Work) -> str:
    """Profile in a process that leaves the device to others when it ends."""
    command = [sys.executable, __file__, "--profile", work.model, str(work.data), str(work.batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition(_PROFILE)[2] or done.stderr[-2000:]


def _roomy() -> str | None:
    """Give a folder in memory, which is faster than a disk, where there is enough of it."""
    shared = Path("/dev/shm")
    enough = shared.is_dir() and shutil.disk_usage(shared).free > NEEDED
    return str(shared) if enough else None


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", help="2048 8192")
    parser.add_argument("--tokens", type=int, help="of a step: 8192")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--profile", nargs=3, metavar=("MODEL", "DATA", "BATCH"))
    parser.add_argument("--tiny", action="store_true", help="a tiny model and short rows")
    given = parser.parse_args()
    given.lengths = given.lengths or ([64, 128] if given.tiny else [2048, 8192])
    given.tokens = given.tokens or max(given.lengths)
    return given


def main() -> None:
    """Build the model and the rows, and measure."""
    given = options()
    if given.profile:
        model, data, batch = given.profile
        profile(model, data, int(batch))
        return
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(dir=_roomy()) as folder:
        os.environ["TUNEKIT_HOME"] = str(Path(folder) / "home")
        build(Path(folder) / "model", TINY if given.tiny else LLAMA)
        device = Device.measure(512 if given.tiny else 8192)
        print(f"{device.name}; a large product makes {device.product / 1e12:.0f} TFLOP/s\n")
        head = ("work", "stack", "tokens/s", "of the product", "TFLOP/s", "GiB", "first step, s")
        print("| " + " | ".join((*head, "losses")) + " |\n|" + " --- |" * (len(head) + 1))
        compare(given, Path(folder), device, until=until)


def compare(given: argparse.Namespace, place: Path, device: Device, *, until: float) -> None:
    """Go through the work; the first of it is profiled, and that is printed last."""
    told = ""
    for length in given.lengths:
        batch = max(1, given.tokens // length)
        data = texts(place / f"{length}.jsonl", length=length, rows=batch * given.steps)
        for method in given.methods:
            work = Work(
                data,
                batch,
                given.steps,
                quantized=method == "QLoRA",
                model=str(place / "model"),
            )
            title = f"{method}, {batch} rows of {length:,}"
            print(f"| {title} | foreseen | | | | {predicted(work):.1f} | | |", flush=True)
            rows(title, work, length=length, device=device, until=until)
            told = told or profiled(work)
    print(f"\n{_PROFILE}\n{told}")


if __name__ == "__main__":
    main()
