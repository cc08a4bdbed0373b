"""The local backend on a CUDA device."""

from __future__ import annotations

from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tests.tiny import tiny_model
from tunekit.models import describe
from tunekit.planning.activations import Step
from tunekit.planning.fit import on_device
from tunekit.planning.shape import shape
from tunekit.spec.methods import LoRA

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


def test_what_a_gpu_holds_is_near_what_a_plan_foresees(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", layers=8, hidden=1024)
    rows = [
        {"prompt": f"{number} {'user asks ' * 30}", "completion": "assistant answers " * 20}
        for number in range(10, 74)
    ]
    training = {"max_steps": 4, "batch_size": 32, "dtype": "bfloat16"}
    spec = small(tmp_path, data=rows, method={"type": "lora", "rank": 16}, training=training)

    run = tk.run(spec, progress=False)

    figures = [e.metrics for e in run.events(follow=False) if e.kind == "metrics"]
    held = max(each.get("memory_bytes", 0) for each in figures)
    trainer = run.plan.request["trainer"]
    portion, portions = (
        trainer[name] for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    # With the tokens that there are: the tiny tokenizer makes more of them than a plan expects.
    tokens = max(each.get("num_tokens", 0) for each in figures) / 4 / portions
    size = shape(describe(str(model)))
    assert size is not None
    step = Step(LoRA(), "bfloat16", int(tokens), rows=portion, joined=True, fast=True)
    foreseen = on_device(size, step, "cuda")
    # The driver's own memory is foreseen, and not in what torch has allocated.
    assert held == pytest.approx(foreseen.total - foreseen.context, rel=0.25)
