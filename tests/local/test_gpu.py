"""The local backend on a CUDA device."""

from __future__ import annotations

from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import chats, small

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
