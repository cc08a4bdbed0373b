"""Fine-tune a small model on this machine and compare it with its base.

python examples/quickstart.py [MODEL] [STEPS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import tunekit as tk

SUPPORT = Path(__file__).parent / "data" / "support.jsonl"


def main(model: str = "embedded:smollm2-135m", steps: str = "60") -> tk.Run:
    spec = tk.FineTune(
        model=model,
        data=SUPPORT,
        method=tk.LoRA(rank=16),
        training=tk.Training(max_steps=int(steps)),
        output=tk.Output(name="quickstart"),
    )
    print(tk.plan(spec))

    run = tk.run(spec)

    print(run)
    if run.evaluation is not None:
        before, after = run.evaluation.base.loss, run.evaluation.tuned.loss
        print(f"held-out loss: {before:.2f} before, {after:.2f} after")
    print(run.adapter.describe())
    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
