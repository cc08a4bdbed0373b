"""Bottleneck adapters beside a LoRA of as many weights, on the rows of the demo.

    python benchmarks/bottlenecks.py [ROWS]

Trains each once over the first rows (240 unless said) at its automatic learning rate, and prints
the weights that learn and the loss on the unseen requests before and after.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.local.as_many import METHODS, train, unseen


def main() -> None:
    """Print a table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 240
    print("| method | weights | learning rate | unseen loss before | after |")
    print("| --- | --- | --- | --- | --- |")
    for name, method in METHODS.items():
        run = train(method, rows)
        before, after = unseen(run)
        rate = run.plan.request["trainer"]["learning_rate"]
        weights = run.adapter.describe().parameters
        print(f"| {name} | {weights:,} | {rate:g} | {before:.3f} | {after:.3f} |", flush=True)


if __name__ == "__main__":
    main()
