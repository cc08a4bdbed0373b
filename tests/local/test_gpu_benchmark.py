"""The benchmark for GPUs works on a tiny model, so that it works where a GPU is at hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OPTIONS = ("--methods", "LoRA", "--lengths", "64", "--steps", "3")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_all_stacks_train_the_same_rows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--tiny", *OPTIONS],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if "rows of" in line]
    found = {stack.strip(): [cell.strip() for cell in cells] for _, stack, *cells in rows}
    memory = found.pop("foreseen")[3]
    assert float(memory) > 0
    speeds = [float(speed.replace(",", "")) for speed, *_ in found.values()]
    assert len(speeds) >= 3 and min(speeds) > 0
    # One seed, one order, one initialisation: the losses of the last step agree as well.
    last = [float(losses.split()[-1]) for *_, losses in found.values()]
    assert max(last) - min(last) < 0.02
