"""The smallest job that a real service sells, from the spec to the adapter; it costs money.

`TUNEKIT_LIVE=together make live` (or `fireworks`), with TOGETHER_API_KEY, or FIREWORKS_API_KEY and
FIREWORKS_ACCOUNT_ID. `TUNEKIT_LIVE_MODEL` and `TUNEKIT_LIVE_COST` change the model and the budget.
"""

from __future__ import annotations

import os

import pytest

import tunekit as tk
from tunekit.errors import RunFailed

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"What is {n} plus {n}?"},
            {"role": "assistant", "content": f"It is {2 * n}, my friend."},
        ]
    }
    for n in range(1, 41)
]


@pytest.mark.live
def test_a_small_job_is_bought_once_and_comes_home() -> None:
    spec = tk.FineTune(
        model=os.environ.get("TUNEKIT_LIVE_MODEL", "Qwen/Qwen3-8B"),
        data=ROWS,
        method=tk.LoRA(rank=8),
        training=tk.Training(epochs=1, batch_size=8),
        output=tk.Output(name="tunekit-live"),
    )

    run = tk.submit(
        spec,
        os.environ["TUNEKIT_LIVE"],
        max_cost=float(os.environ.get("TUNEKIT_LIVE_COST", "5")),
    )
    try:
        run.wait(timeout=4 * 3600)
    except RunFailed as failed:
        pytest.fail(f"{failed}\n{failed.log}")

    assert run.hosted
    assert run.adapter.describe().rank == 8
