"""The largest resident memory of a real worker, beside what the closed form says of its step."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tunekit as tk
from tests.tiny import tiny_model
from tunekit.models import describe
from tunekit.planning.activations import Step
from tunekit.planning.fit import on_device
from tunekit.planning.memory import Memory
from tunekit.planning.shape import shape

STEPS = 3
SMOL, TINY = "embedded:smollm2-135m", "tiny"
WORDS = "river stone light under seven paper tools green market night early train".split()


@dataclass(frozen=True)
class Configuration:
    """A run of three steps, every row of about as many words."""

    model: str
    method: dict[str, Any]
    batch: int
    words: int
    checkpointing: bool = False
    objective: str = "sft"
    dtype: str = "float32"

    def __str__(self) -> str:
        name = self.method.get("quantization", self.method["type"])
        parts = [self.model.partition(":")[2] or self.model, name, self.objective, self.dtype]
        parts += [f"{self.batch} x {self.words} words"]
        return ", ".join(parts + ["checkpointing"] * self.checkpointing)


@dataclass(frozen=True)
class Measured:
    """Tokens that passed at once, the peak in bytes, and the estimate for as many tokens."""

    tokens: int
    peak: int
    predicted: Memory

    @property
    def error(self) -> float:
        """How far the estimate is off, as a share of the peak."""
        return self.predicted.total / self.peak - 1


def measure(configuration: Configuration, folder: Path) -> Measured:
    """Train for three steps in a process of its own and watch its memory (Linux)."""
    run = tk.submit(_spec(configuration, folder))
    peak = _watch(run.folder / "job")
    run.wait()
    events = [event.metrics for event in run.events() if event.kind == "metrics"]
    seen = max(metrics.get("num_tokens", 0) for metrics in events)
    tokens = round(seen / STEPS)
    return Measured(tokens, peak, _predicted(run, configuration, tokens))


def _watch(job: Path) -> int:
    """Read the high-water mark of the worker until it has left its result."""
    worker, peak = job / "worker.json", 0
    while not (job / "result.json").exists() and not (job / "exit.json").exists():
        if worker.exists():
            peak = max(peak, _high_water(json.loads(worker.read_text())["pid"]))
        time.sleep(0.02)
    return peak


def _high_water(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def _predicted(run: tk.Run, configuration: Configuration, tokens: int) -> Memory:
    spec = run.spec
    trainer = run.plan.request["trainer"]
    size = shape(describe(str(spec.model)))
    assert size is not None
    pairs = configuration.objective != "sft"
    step = Step(
        method=spec.method,
        dtype=configuration.dtype,
        tokens=tokens,
        rank=configuration.method.get("rank", 0),
        checkpointing=configuration.checkpointing,
        rows=trainer["per_device_train_batch_size"] * (2 if pairs else 1),
        joined=bool(trainer.get("padding_free")),
        reference=configuration.objective == "dpo",
        fast=run.plan.request["kernels"] != "reference",
    )
    return on_device(size, step, "cpu")


def _spec(configuration: Configuration, folder: Path) -> tk.FineTune:
    model: Any = configuration.model
    if model == TINY:
        model = folder / "tiny"
        tiny_model(model)
    return tk.FineTune(
        model=model,
        data=_rows(configuration),
        objective=configuration.objective,
        method=configuration.method,
        validation=None,
        evaluation={"enabled": False},
        training={
            "max_steps": STEPS,
            "batch_size": configuration.batch,
            "learning_rate": 1e-4,
            "dtype": configuration.dtype,
            "gradient_checkpointing": configuration.checkpointing,
            "checkpoint_steps": 1000,
        },
    )


def _rows(configuration: Configuration) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(max(8, STEPS * configuration.batch)):
        words = [WORDS[(number + n * 5) % len(WORDS)] for n in range(configuration.words)]
        question, answer = f"{number} " + " ".join(words[:-8]), " ".join(words[-8:])
        if configuration.objective == "sft":
            turns = [("user", question), ("assistant", answer)]
            found.append({"messages": [{"role": r, "content": c} for r, c in turns]})
        else:
            rejected = " ".join(reversed(words[-8:]))
            found.append({"prompt": question, "chosen": answer, "rejected": rejected})
    return found
