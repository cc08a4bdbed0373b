"""Teach a model which of two answers is better (DPO): short and plain beats long and vague.

python examples/preferences.py [MODEL] [STEPS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import tunekit as tk

PREFERENCES = Path(__file__).parent / "data" / "preferences.jsonl"


def main(model: str = "embedded:smollm2-135m", steps: str = "20") -> tk.Run:
    spec = tk.FineTune(
        model=model,
        data=PREFERENCES,
        objective=tk.DPO(beta=0.1),
        # Few steps on few pairs: a higher rate than a plan picks for a long run.
        training=tk.Training(max_steps=int(steps), batch_size=4, learning_rate=1e-4),
        validation=0.2,
        output=tk.Output(name="preferences"),
    )
    run = tk.run(spec)

    for event in run.events(follow=False):
        if event.kind == "metrics" and "rewards/accuracies" in event.metrics:
            share = event.metrics["rewards/accuracies"]
            print(f"step {event.step}: the better answer is preferred in {share:.0%} of the pairs")
    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
