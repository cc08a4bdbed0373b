"""Compare the automatic learning rate with a ninth, a third, three and nine times it.

    python benchmarks/learning_rate.py [lora] [qlora] [full] [dpo] [kto]

Each row trains the embedded model on rows of the demo five times over, briefly, and prints what it
makes of held-out rows. Everything but the rate is as a plan leaves it, save the number of passes.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratch import scratch

import tunekit as tk

# pandas looks for a package named as a file beside this one.
sys.path[:] = [place for place in sys.path if place != str(Path(__file__).parent)]
# Threads that spin while they wait take the processor from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
DATA = Path(__file__).parent.parent / "examples" / "data"
HELD_OUT = 24
"""Unseen requests that SFT is measured on."""
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
BETA = 0.1


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

    @property
    def spec(self) -> dict[str, Any]:
        """Everything but the rate."""
        pairs = self.objective != "sft"
        name, held = ("preferences.jsonl", 0.2) if pairs else ("support.jsonl", None)
        data: dict[str, Any] = {"source": str(DATA / name)}
        if self.rows:
            data["limit"] = self.rows
        return {
            "model": "embedded:smollm2-135m",
            "data": data,
            "method": self.method,
            "objective": self.objective,
            "validation": held or {"source": str(DATA / "support_unseen.jsonl"), "limit": HELD_OUT},
            "evaluation": {"generations": 0, "forgetting": False, "overfitting": False},
            "training": {"epochs": self.epochs, "checkpoint_steps": 10_000},
        }

    def run(self, rate: float) -> Found:
        """Train at a rate and measure on held-out rows."""
        wanted = self.spec
        training = {**wanted["training"], "learning_rate": rate}
        spec = tk.FineTune(**{**wanted, "training": training})
        # One process: the libraries are loaded once.
        run = tk.run(spec, tk.Local(in_process=True), progress=False)
        found = run.evaluation
        assert found is not None and found.base.loss is not None and found.tuned.loss is not None
        if self.objective == "sft":
            return Found(found.tuned.loss, found.base.loss)
        both = zip(found.base.pairs, found.tuned.pairs, strict=True)
        gains = [(after[0] - before[0], after[1] - before[1]) for before, after in both]
        before = _loss(self.objective, [(0.0, 0.0)])
        return Found(_loss(self.objective, gains), before, found.preference_accuracy)


CASES = {
    "lora": Case("lora"),
    "qlora": Case("qlora"),
    "full": Case("full", rows=128),
    "dpo": Case("lora", "dpo", epochs=2),
    "kto": Case("lora", "kto", epochs=2),
}


def _loss(objective: str, gains: list[tuple[float, float]]) -> float:
    """Give the loss of held-out pairs, by how much likelier each answer has become."""
    if objective == "dpo":
        each = [math.log1p(math.exp(-BETA * (better - worse))) for better, worse in gains]
    else:
        # Without its estimate of the KL divergence, which needs the whole model.
        each = [(_sigmoid(-BETA * better) + _sigmoid(BETA * worse)) / 2 for better, worse in gains]
    return sum(each) / len(each)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def automatic(case: Case) -> float:
    """Give the rate of the plan."""
    plan = tk.plan(tk.FineTune(**case.spec), "local")
    return float(plan.used("training.learning_rate"))


def row(name: str, case: Case) -> str:
    """Measure the five rates; give a line of Markdown."""
    middle = automatic(case)
    found: list[Found] = []
    for factor in FACTORS:
        try:
            found.append(case.run(float(f"{middle * factor:.2e}")))
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
        with scratch():
            print(row(name, CASES[name]), flush=True)


if __name__ == "__main__":
    main()
