"""One spec, three places: this machine, Together, Fireworks; each leaves the same PEFT folder.

python examples/switch_backend.py

The two services are stand-ins on this machine, so this costs nothing: real HTTP, no training. With
keys in the environment, `tk.run(spec, backend="together", max_cost=20)` is the real thing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import tunekit as tk
from tunekit import embedded
from tunekit.testing.providers.fireworks import LoopbackFireworks
from tunekit.testing.providers.together import LoopbackTogether

SUPPORT = Path(__file__).parent / "data" / "support.jsonl"
ROWS = 32


def main() -> dict[str, tk.Run]:
    spec = tk.FineTune(
        model="embedded:smollm2-135m",
        data=[json.loads(line) for line in SUPPORT.read_text("utf-8").splitlines()[:ROWS]],
        method=tk.LoRA(rank=8),
        training=tk.Training(epochs=1, batch_size=8, learning_rate=1e-4),
        evaluation=tk.Evaluation(enabled=False),
        output=tk.Output(name="switch"),
    )
    local = tk.run(spec)
    # What the stand-ins give back fits the model, so that it can be loaded.
    base = embedded.folder()
    with LoopbackTogether(base=base) as together, LoopbackFireworks(base=base) as fireworks:
        keys = {
            "TOGETHER_API_KEY": together.settings.key,
            "TOGETHER_BASE_URL": together.url,
            "FIREWORKS_API_KEY": fireworks.settings.key,
            "FIREWORKS_BASE_URL": fireworks.url,
            "FIREWORKS_ACCOUNT_ID": fireworks.settings.account,
        }
        with mock.patch.dict(os.environ, keys):
            runs = {
                "local": local,
                "together": tk.run(spec, backend="together", max_cost=5),
                "fireworks": tk.run(spec, backend="fireworks", max_cost=5),
            }
    for name, run in runs.items():
        adapter = run.adapter.load()
        print(
            f"{name}: {type(adapter).__name__} with {run.adapter.describe().parameters:,} numbers"
        )
    return runs


if __name__ == "__main__":
    main()
