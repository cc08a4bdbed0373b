"""A LoRA and bottleneck adapters with as many weights, trained on the rows of the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tunekit as tk

DATA = Path(__file__).parent.parent.parent / "examples" / "data"
METHODS: dict[str, dict[str, Any]] = {
    "LoRA, rank 4": {"type": "lora", "rank": 4},
    "Pfeiffer, size 35": {"type": "bottleneck", "placement": "pfeiffer", "size": 35},
    "Houlsby, size 17": {"type": "bottleneck", "placement": "houlsby", "size": 17},
}
"""Of SmolLM2-135M: 1,221,120, 1,227,930 and 1,210,620 weights."""


def train(method: dict[str, Any], rows: int, rate: float | str = "auto") -> tk.Run:
    """Train SmolLM2-135M once over the first rows; only losses are measured, on unseen requests."""
    unmeasured = {"generations": 0, "examples": 0, "forgetting": False, "overfitting": False}
    spec = tk.FineTune(
        model="embedded:smollm2-135m",
        data={"source": str(DATA / "support.jsonl"), "limit": rows},
        validation=DATA / "support_unseen.jsonl",
        method=method,
        training={"epochs": 1, "batch_size": 8, "learning_rate": rate},
        evaluation=unmeasured,
    )
    return tk.run(spec, progress=False)


def unseen(run: tk.Run) -> tuple[float, float]:
    """Give the loss on the unseen requests before and after."""
    found = run.evaluation
    assert found is not None and found.base.loss is not None and found.tuned.loss is not None
    return found.base.loss, found.tuned.loss
