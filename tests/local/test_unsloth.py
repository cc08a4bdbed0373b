"""The same worker through Unsloth, in an interpreter of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import tunekit as tk

pytestmark = pytest.mark.unsloth


def test_unsloth_trains_a_lora_that_peft_loads(tmp_path: Path) -> None:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is {number} plus {number}?"},
                {"role": "assistant", "content": f'{{"sum": {2 * number}}}'},
            ]
        }
        for number in range(40)
    ]
    backend = tk.Local(engine="unsloth", python=os.environ["TUNEKIT_UNSLOTH_PYTHON"])
    spec = tk.FineTune(
        model="embedded:smollm2-135m",
        data=rows,
        method={"type": "lora", "rank": 8},
        training={"max_steps": 8, "batch_size": 4, "learning_rate": 1e-3, "max_length": 256},
        validation=0.2,
        evaluation={"generations": 2, "max_new_tokens": 16},
    )

    run = tk.run(spec, backend=backend, progress=False)

    comparison = run.evaluation
    assert comparison is not None
    assert comparison.tuned.loss < 0.7 * comparison.base.loss
    assert run.plan.request["engine"] == "unsloth"
    assert type(run.adapter.load()).__name__ == "PeftModelForCausalLM"
