"""The benchmark for GPUs works on a tiny model, so that it works where a GPU is at hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_both_stacks_train_the_same_and_a_run_without_time_is_left_out(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--tiny", "--lengths", "64", "--steps", "2", "--minutes", "0.1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if "rows of" in line]
    named = {(work.strip(), stack.strip()): [*cells] for work, stack, *cells in rows}
    lora = {stack: cells for (work, stack), cells in named.items() if work.startswith("LoRA")}
    assert float(lora["tunekit"][0].replace(",", "")) > 0
    assert float(lora["foreseen"][3]) > 0
    assert named["QLoRA, 2 rows of 64", "TRL, defaults"][0].strip() == "no time left"
