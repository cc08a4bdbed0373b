"""The local backend on a CUDA device."""

from __future__ import annotations

from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tests.tiny import tiny_model

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_a_method_learns_on_a_cuda_device(tmp_path: Path, method: str) -> None:
    spec = small(
        tmp_path,
        data=chats(36),
        method=method,
        validation=0.2,
        evaluation={"generations": 2, "max_new_tokens": 8},
        training={"max_steps": 30, "learning_rate": 5e-3, "dtype": "bfloat16"},
    )

    run = tk.run(spec, progress=False)

    assert run.plan.request["device"] == "cuda"
    comparison = run.evaluation
    assert comparison is not None
    assert comparison.base.loss is not None and comparison.tuned.loss is not None
    assert comparison.tuned.loss < comparison.base.loss


def test_what_a_gpu_holds_is_near_what_the_plan_foresaw(tmp_path: Path) -> None:
    tiny_model(tmp_path / "model", layers=8, hidden=1024)
    spec = small(
        tmp_path,
        data=chats(64, longest=30),
        method="lora",
        training={"max_steps": 4, "batch_size": 32, "dtype": "bfloat16"},
    )
    run = tk.run(spec, progress=False)

    foreseen = next(e.value for e in run.plan.estimates if e.name == "memory") * 1e9
    held = max(
        event.metrics["memory_bytes"]
        for event in run.events(follow=False)
        if event.kind == "metrics" and "memory_bytes" in event.metrics
    )
    # The driver's own memory is in the plan, and not in what torch has allocated.
    assert held < foreseen < held + 1.2e9
