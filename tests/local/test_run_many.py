"""Adapters that are trained at once over one base are those that are trained alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import tunekit as tk
from tests.local.specs import chats, small
from tunekit.running.many import run_many

TENANTS: list[dict[str, Any]] = [
    {"data": chats(40), "training": {"max_steps": 12, "seed": 3}},
    {
        "data": chats(30, seed=1, longest=30),
        "method": {
            "type": "lora",
            "rank": 8,
            "alpha": 8.0,
            "target_modules": ["q_proj", "up_proj"],
        },
        "training": {"max_steps": 7, "batch_size": 6, "learning_rate": 3e-3, "seed": 5},
    },
    {
        "data": chats(24, seed=2),
        "method": {"type": "lora", "rank": 2, "dropout": 0.2},
        "training": {"max_steps": 9, "batch_size": 2, "scheduler": "cosine"},
    },
]


def losses(run: tk.Run) -> list[float]:
    events = run.events(follow=False)
    return [e.metrics["loss"] for e in events if e.kind == "metrics" and "loss" in e.metrics]


def weights(run: tk.Run) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "adapter" / "adapter_model.safetensors")


def equal(found: tk.Run, alone: tk.Run) -> None:
    assert found.state is tk.JobState.SUCCEEDED, found.reason
    assert losses(found) == pytest.approx(losses(alone), abs=1e-5)
    assert len(losses(alone)) > 3
    torch.testing.assert_close(weights(found), weights(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_each_is_what_it_is_alone(tmp_path: Path) -> None:
    specs = [small(tmp_path, **changes) for changes in TENANTS]
    local = tk.Local(in_process=True)
    alone = [tk.run(spec, local, progress=False) for spec in specs]
    found = run_many(specs, local, progress=False)
    for one, other in zip(found, alone, strict=True):
        equal(one, other)
