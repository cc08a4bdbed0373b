"""The worker trains exactly as TRL does: same rows, same order, same losses."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.tiny import tiny_model

SCRIPT = Path(__file__).with_name("plain_trl.py")
WORDS = "river stone light under seven paper tools green market night early train".split()


def _sentence(pick: random.Random) -> str:
    return " ".join(pick.choices(WORDS, k=pick.randint(2, 14)))


def _rows(objective: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Give the rows for TRL and for us: the same turns, or the same texts."""
    pick = random.Random(3)
    plain: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    for _ in range(40):
        prompt = [{"role": "user", "content": _sentence(pick)}]
        answer, worse = (
            [{"role": "assistant", "content": _sentence(pick)}] for _ in ("chosen", "rejected")
        )
        if objective in ("simpo", "orpo"):
            better, worse = f" {answer[0]['content']}", f" {worse[0]['content']}"
            plain.append({"prompt": prompt[0]["content"], "chosen": better, "rejected": worse})
            ours.append(plain[-1])
        elif objective != "sft":
            plain.append({"prompt": prompt, "chosen": answer, "rejected": worse})
            ours.append(plain[-1])
        else:
            plain.append({"prompt": prompt, "completion": answer})
            ours.append({"messages": prompt + answer})
    return plain, ours


OBJECTIVES: dict[str, Any] = {
    "sft": "sft",
    "dpo": "dpo",
    "normalized": tk.DPO(length_normalized=True, sft_weight=0.5),
    "simpo": tk.SimPO(beta=2.5, gamma=1.4),
    "orpo": tk.ORPO(beta=0.25),
}
"""By the name that the plain script knows."""


def _theirs(
    folder: Path, rows: list[dict[str, Any]], objective: str, quantized: bool
) -> list[float]:
    data = folder / "plain.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    done = subprocess.run(
        [
            sys.executable,
            SCRIPT,
            folder / "model",
            data,
            objective,
            str(int(quantized)),
            folder / "out",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _ours(folder: Path, rows: list[dict[str, Any]], objective: str, quantized: bool) -> list[float]:
    method = {"type": "qlora" if quantized else "lora", "rank": 4, "alpha": 8.0}
    if quantized:
        method["double_quantization"] = False
    spec = tk.FineTune(
        model=folder / "model",
        data=rows,
        method=method,
        objective=OBJECTIVES[objective],
        training={
            "max_steps": 20,
            "batch_size": 4,
            "learning_rate": 1e-3,
            "warmup_ratio": 0.1,
            "seed": 7,
            "dtype": "float32",
            "gradient_checkpointing": False,
        },
        validation=None,
        evaluation={"enabled": False},
    )
    losses: list[float] = []

    def note(event: tk.Event) -> None:
        if event.kind == "metrics" and "loss" in event.metrics:
            losses.append(event.metrics["loss"])

    tk.run(spec, progress=False, on_event=note)
    return losses


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "quantized", "tolerance"),
    [
        ("sft", False, 1e-5),
        ("dpo", False, 1e-5),
        ("normalized", False, 1e-5),
        ("simpo", False, 1e-5),
        ("orpo", False, 1e-5),
        ("sft", True, 1e-3),
    ],
    ids=["SFT", "DPO", "length-normalised RPO", "SimPO", "ORPO", "SFT with QLoRA"],
)
def test_the_losses_of_twenty_steps_equal_those_of_a_plain_trl_script(
    tmp_path: Path, objective: str, quantized: bool, tolerance: float
) -> None:
    tiny_model(tmp_path / "model")
    plain, ours = _rows(objective)

    expected = _theirs(tmp_path, plain, objective, quantized)
    found = _ours(tmp_path, ours, objective, quantized)

    assert len(found) == len(expected) == 20
    assert found == pytest.approx(expected, abs=tolerance)
    assert max(expected) - min(expected) > 100 * tolerance  # a flat line would prove nothing
