"""Compare the automatic learning rate with a ninth, a third, three and nine times it.

    python benchmarks/learning_rate.py [lora] [qlora] [full] [dpo] [kto]

Each row trains the embedded model on rows of the demo five times over, briefly, and prints what it
makes of held-out rows. Everything but the rate is as a plan leaves it, save the number of passes.
The loss of KTO is TRL's: it counts from the divergence on answers to other prompts.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scratch import scratch

import tunekit as tk

# Threads that spin while they wait take the processor from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
DATA = Path(__file__).parent.parent / "examples" / "data"
HELD_OUT = 24
"""Unseen requests that SFT is measured on."""
HELD_OUT_PAIRS = 12
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
BETA = 0.1


class Gain(NamedTuple):
    """How much likelier both answers of a pair have become, in nats."""

    better: float
    worse: float


@dataclass(frozen=True)
class Found:
    """The held-out loss of the objective, what it was before, and the accuracy for pairs."""

    loss: float
    before: float
    accuracy: float | None = None


@dataclass(frozen=True)
class Case:
    """What is trained, on how much."""

    method: str
    objective: str = "sft"
    rows: int | None = None
    epochs: float = 1

    def spec(self, place: Path) -> dict[str, Any]:
        """Everything but the rate; parts of the demo's data go to `place`."""
        if self.objective == "sft":
            data: dict[str, Any] = {"source": str(DATA / "support.jsonl")}
            if self.rows:
                data["limit"] = self.rows
            held = {"source": str(DATA / "support_unseen.jsonl"), "limit": HELD_OUT}
        else:
            data, held = ({"source": str(file)} for file in _pairs(place))
        return {
            "model": "embedded:smollm2-135m",
            "data": data,
            "method": self.method,
            "objective": self.objective,
            "validation": held,
            "evaluation": {"generations": 0, "forgetting": False, "overfitting": False},
            "training": {"epochs": self.epochs, "checkpoint_steps": 10_000},
        }

    def run(self, rate: float, wanted: dict[str, Any]) -> Found:
        """Train what is wanted at a rate and measure on held-out rows."""
        training = {**wanted["training"], "learning_rate": rate}
        spec = tk.FineTune(**{**wanted, "training": training})
        # One process: the libraries are loaded once.
        run = tk.run(spec, tk.Local(in_process=True), progress=False)
        found = run.evaluation
        assert found is not None and found.base.loss is not None and found.tuned.loss is not None
        if self.objective == "sft":
            return Found(found.tuned.loss, found.base.loss)
        both = zip(found.base.pairs, found.tuned.pairs, strict=True)
        gains = [Gain(after[0] - before[0], after[1] - before[1]) for before, after in both]
        own, strange = gains[:HELD_OUT_PAIRS], gains[HELD_OUT_PAIRS:]
        before = _loss(self.objective, [Gain(0.0, 0.0)], [Gain(0.0, 0.0)])
        in_order = statistics.mean(gain.better > gain.worse for gain in own)
        return Found(_loss(self.objective, own, strange), before, in_order)


CASES = {
    "lora": Case("lora"),
    "qlora": Case("qlora"),
    "full": Case("full", rows=128),
    "dpo": Case("lora", "dpo", epochs=2),
    "kto": Case("lora", "kto", epochs=2),
}


def _pairs(place: Path) -> tuple[Path, Path]:
    """Write the pairs to train on, and those held out: first as they are, then mismatched.

    A mismatched pair has the answers of the next prompt.
    """
    lines = (DATA / "preferences.jsonl").read_text(encoding="utf-8").splitlines()
    own = [json.loads(line) for line in lines[-HELD_OUT_PAIRS:]]
    strange = [
        {**after, "prompt": pair["prompt"]}
        for pair, after in zip(own, [*own[1:], own[0]], strict=True)
    ]
    train, held = place / "train.jsonl", place / "held_out.jsonl"
    train.write_text("\n".join(lines[:-HELD_OUT_PAIRS]), encoding="utf-8")
    held.write_text("\n".join(map(json.dumps, [*own, *strange])), encoding="utf-8")
    return train, held


def _loss(objective: str, own: Sequence[Gain], strange: Sequence[Gain]) -> float:
    """Give the loss of held-out pairs, by how much likelier each answer has become."""
    if objective == "dpo":
        return statistics.mean(
            math.log1p(math.exp(-BETA * (gain.better - gain.worse))) for gain in own
        )
    # The divergence on mismatched answers, as trl/trainer/kto_trainer.py estimates it.
    far = max(0.0, statistics.mean(part for gain in strange for part in gain))
    return statistics.mean(
        (_sigmoid(BETA * (far - gain.better)) + _sigmoid(BETA * (gain.worse - far))) / 2
        for gain in own
    )


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def automatic(wanted: dict[str, Any]) -> float:
    """Give the rate of the plan."""
    plan = tk.plan(tk.FineTune(**wanted), "local")
    return float(plan.used("training.learning_rate"))


def row(name: str, case: Case, place: Path) -> str:
    """Measure the five rates; give a line of Markdown."""
    wanted = case.spec(place)
    middle = automatic(wanted)
    found: list[Found] = []
    for factor in FACTORS:
        try:
            found.append(case.run(float(f"{middle * factor:.2e}"), wanted))
        except tk.errors.Diverged:
            found.append(Found(math.inf, math.nan, 0.0))
        print(f"{name} {middle * factor:.1e} {found[-1]}", file=sys.stderr, flush=True)
    best, auto = min(found, key=lambda each: each.loss), found[FACTORS.index(1.0)]
    share = (auto.before - auto.loss) / (best.before - best.loss)
    return f"| {name} | {middle:.1e} | {' | '.join(map(_cell, found))} | {100 * share:.1f} % |"


def _cell(found: Found) -> str:
    right = "" if found.accuracy is None else f" ({found.accuracy:.0%})"
    return f"{found.loss:.3f}{right}"


def main() -> None:
    """Measure the rows that are named, or all."""
    names = sys.argv[1:] or list(CASES)
    print("| | auto | 1/9 | 1/3 | auto | x 3 | x 9 | of the best gain |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        with scratch() as place:
            print(row(name, CASES[name], place), flush=True)


if __name__ == "__main__":
    main()
