"""What five methods forget, against the order of PEFT's published comparison.

`python benchmarks/forgetting.py`: the embedded model on the rows of the demo. PEFT trains
Llama-3.2-3B on MetaMathQA and reports the change of the loss on Wikipedia
(github.com/huggingface/peft, method_comparison/MetaMathQA/results, read on 2026-08-21).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scratch import scratch

import tunekit as tk

ROOT = Path(__file__).parent.parent / "examples" / "data"
MLP = ("gate_proj", "up_proj", "down_proj")
RATE = 5e-4
"""Five times PEFT's, for a twentieth of its steps."""

RUNS: tuple[tuple[str, float, dict[str, Any], float], ...] = (
    (
        "LoRA r=10 on the MLP",
        0.032,
        {"type": "lora", "rank": 10, "alpha": 20, "target_modules": MLP},
        RATE,
    ),
    (
        "LoRA r=32 on q and v",
        0.050,
        {"type": "lora", "rank": 32, "alpha": 64, "target_modules": ("q_proj", "v_proj")},
        RATE,
    ),
    (
        "LoRA r=64 on q and v",
        0.059,
        {"type": "lora", "rank": 64, "alpha": 128, "target_modules": ("q_proj", "v_proj")},
        RATE,
    ),
    (
        "rsLoRA r=64 on q and v",
        0.111,
        {
            "type": "lora",
            "rank": 64,
            "alpha": 64,
            "use_rslora": True,
            "target_modules": ("q_proj", "v_proj"),
        },
        RATE,
    ),
    (
        "prefix of 100 tokens, zeros",
        1.79,
        {"type": "prefix", "num_virtual_tokens": 100, "init": "random"},
        1e-3,
    ),
)


def forgotten(method: dict[str, Any], rate: float) -> tuple[float, float, float]:
    """Train and give the change of the loss on general text, the divergence, the held-out gain."""
    run = tk.run(
        tk.FineTune(
            model="embedded:smollm2-135m",
            data=str(ROOT / "support.jsonl"),
            validation=str(ROOT / "support_unseen.jsonl"),
            method=method,
            training={"max_steps": 115, "batch_size": 4, "learning_rate": rate},
            evaluation={"generations": 0, "overfitting": False, "forgetting": True},
        ),
        progress=False,
    )
    found = run.evaluation
    assert found is not None and found.forgetting is not None
    signs = {sign.name: sign.value for sign in found.forgetting.signals}
    return signs["general_loss"], signs["divergence"], -found.differences[0].change


def main() -> None:
    """Print a table."""
    with scratch():
        for name, published, method, rate in RUNS:
            loss, divergence, gain = forgotten(method, rate)
            print(
                f"{name:28} published {published:5.3f}  here {loss:6.3f} nats/token  "
                f"divergence {divergence:6.3f}  gain {gain:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
