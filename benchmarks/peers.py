"""Time tunekit against other tools on the same rows, each in an environment of its own.

    make peers                       installs the tools that install here, and runs this
    python benchmarks/peers.py [single|mixed] [--steps 8] [--repeats 3]

One process a run, interleaved, with the same threads and allocator settings; LoRA rank 16 on all
linear layers, bfloat16, batches of four, every token trained on. LitGPT reads single turns only.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import chats
from fast import MODEL, STACKS, Measured, Stack, Work, measured, settings, table

from tunekit.backends.local.models import locate

ROOT = Path(__file__).parent.parent
PEERS = {
    "Unsloth": "unsloth",
    "LLaMA-Factory": "llamafactory",
    "LitGPT": "litgpt",
}


def peer(name: str) -> Stack:
    """Give the stack that runs a peer's script under the peer's interpreter."""

    def run(work: Work) -> Measured:
        python = ROOT / f".venv-{name}" / "bin" / "python"
        script = Path(__file__).parent / "stacks" / f"run_{name}.py"
        with tempfile.TemporaryDirectory() as out:
            start = time.time()
            done = subprocess.run(
                [
                    *(python, "-W", "ignore", script),
                    *(locate(MODEL), work.data, str(work.steps), str(work.batch), out),
                ],
                capture_output=True,
                text=True,
                check=False,
                cwd=out,
                env={**settings(), "HF_HUB_OFFLINE": "1"},
            )
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-2000:]}")
        said = json.loads(done.stdout.splitlines()[-1])
        marks = list(zip(said["times"], said["tokens"], said["losses"], strict=True))
        return measured(start, marks, said["peak"])

    return run


def stacks(kind: str) -> dict[str, Stack]:
    """Give all stacks that are installed and read such rows; ours comes last."""
    ours = dict(STACKS)
    fast = ours.popitem()
    found = {
        title: peer(name)
        for title, name in PEERS.items()
        if (ROOT / f".venv-{name}").is_dir() and (kind == "single" or name != "litgpt")
    }
    return {**ours, **found, fast[0]: fast[1]}


def main() -> None:
    """Write one table for each kind of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=["single", "mixed", []], default=[])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    print(f"{platform.machine()}, {platform.python_version()}, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory() as place:
        for kind in asked.kinds or ("single", "mixed"):
            data = chats.write(Path(place) / f"{kind}.jsonl", kind, rows=asked.steps * 4)
            work = Work(data, steps=asked.steps)
            table(f"SFT on {kind} chats", work, stacks(kind), repeats=asked.repeats)


if __name__ == "__main__":
    main()
