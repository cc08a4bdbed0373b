"""Each method with each objective trains for real and leaves what loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.specs import WORDS, chats, small

pytestmark = pytest.mark.slow

PAIRS = [
    {
        "prompt": [{"role": "user", "content": f"{number} {word}"}],
        "chosen": [{"role": "assistant", "content": f"{word} {word}"}],
        "rejected": [{"role": "assistant", "content": f"{WORDS[number % 5]} {number}"}],
    }
    for number, word in enumerate(WORDS * 3)
]


@pytest.mark.parametrize(
    "objective",
    [
        "sft",
        "dpo",
        pytest.param("simpo", marks=pytest.mark.long),
        pytest.param("orpo", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize(
    "method",
    [
        {"type": "full"},
        {"type": "lora", "rank": 4},
        {"type": "qlora", "rank": 4},
        {"type": "qlora", "rank": 4, "quantization": "int8"},
    ],
    ids=["full", "lora", "nf4", "int8"],
)
def test_a_method_and_an_objective_learn_and_load_again(
    tmp_path: Path, method: dict[str, Any], objective: str
) -> None:
    rows = chats(36) if objective == "sft" else PAIRS
    spec = small(
        tmp_path,
        data=rows,
        method=method,
        objective=objective,
        validation=0.2,
        evaluation={"generations": 2, "examples": 1, "max_new_tokens": 8},
        training={"max_steps": 30, "learning_rate": 5e-3},
    )

    run = tk.run(spec, progress=False)

    losses = [
        e.metrics["loss"]
        for e in run.events(follow=False)
        if e.kind == "metrics" and "loss" in e.metrics
    ]
    assert sum(losses[-5:]) < sum(losses[:5])
    comparison = run.evaluation
    assert comparison is not None
    assert comparison.base.loss != comparison.tuned.loss
    assert len(comparison.tuned.answers) == 2
    assert comparison.examples == 1
    model = run.adapter.load()
    assert type(model).__name__.startswith("Llama" if method["type"] == "full" else "Peft")


def test_a_full_fine_tune_leaves_a_model_and_an_adapter_leaves_an_adapter(tmp_path: Path) -> None:
    full = tk.run(small(tmp_path, method="full"), progress=False)
    lora = tk.run(small(tmp_path), progress=False)

    assert full.adapter.kind == "model"
    assert lora.adapter.kind == "adapter"
    names = {path.name for path in lora.adapter.folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tunekit.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]


def test_a_packed_run_trains_on_the_same_tokens(tmp_path: Path) -> None:
    loose = tk.run(small(tmp_path), progress=False)
    packed = tk.run(small(tmp_path, training={"packing": True, "max_length": 256}), progress=False)

    assert _first_loss(packed) == pytest.approx(_first_loss(loose), rel=0.1)


def _losses(run: tk.Run) -> list[float]:
    return [
        event.metrics["loss"]
        for event in run.events(follow=False)
        if event.kind == "metrics" and "loss" in event.metrics
    ]


def _first_loss(run: tk.Run) -> float:
    return _losses(run)[0]


def test_two_processes_train_to_the_losses_of_one(tmp_path: Path) -> None:
    spec = small(tmp_path, training={"max_steps": 5})

    one = tk.run(spec, progress=False)
    two = tk.run(spec, backend=tk.Local(devices=2), progress=False)

    assert _first_loss(two) == pytest.approx(_first_loss(one), abs=1e-3)
    assert two.adapter.describe().rank == 4


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_measuring_the_base_first_changes_nothing_about_the_training(
    tmp_path: Path, method: str
) -> None:
    asked = {"method": {"type": method, "rank": 4}, "validation": 0.2, "data": chats(40)}
    short = {"training": {"max_steps": 4}}

    measured = tk.run(
        small(tmp_path, **asked, **short, evaluation={"generations": 2, "max_new_tokens": 4}),
        progress=False,
    )
    plain = tk.run(small(tmp_path, **asked, **short), progress=False)

    assert _losses(measured) == _losses(plain)


def test_training_in_this_process_gives_the_same_adapter(tmp_path: Path) -> None:
    spec = small(tmp_path, training={"max_steps": 5})

    child = tk.run(spec, progress=False)
    here = tk.run(spec, backend=tk.Local(in_process=True), progress=False)

    assert (here.folder / "adapter" / "adapter_model.safetensors").read_bytes() == (
        child.folder / "adapter" / "adapter_model.safetensors"
    ).read_bytes()
