"""Bottleneck adapters trained by the worker, and refused where nobody trains them."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.adapters.made import change_weights
from tests.adapters.test_bottleneck import adapted
from tests.local.as_many import METHODS, train, unseen
from tests.local.specs import WORDS, chats, losses, small
from tests.planning.setting import H100, LLAMA_8B, rows
from tests.tiny import tiny_model
from tunekit import models
from tunekit.adapters.bottleneck.config import parameters
from tunekit.planning import bottleneck
from tunekit.planning.shape import Shape, shape
from tunekit.planning.trained import trained

PAIRS = [
    {"prompt": f"{number} {word}", "chosen": f" {word} {word}", "rejected": f" {number}"}
    for number, word in enumerate(WORDS)
]


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["pfeiffer", "houlsby"])
def test_the_base_is_measured_then_the_adapter_learns_and_loads_again(
    tmp_path: Path, placement: str
) -> None:
    held_out = chats(8, seed=1)
    spec = small(
        tmp_path,
        method={"type": "bottleneck", "placement": placement, "size": 8},
        validation=held_out,
        evaluation={"generations": 1, "examples": 0, "max_new_tokens": 4},
        training={"max_steps": 30, "learning_rate": 5e-3, "gradient_checkpointing": True},
    )

    run = tk.run(spec, tk.Local(in_process=True), progress=False)

    comparison = run.evaluation
    assert comparison is not None
    model = run.adapter.load()
    assert comparison.tuned.loss == pytest.approx(_loss(model, run), abs=1e-5)
    with model.disable_adapter():
        assert comparison.base.loss == pytest.approx(_loss(model, run), abs=1e-5)
    found = losses(run)
    assert sum(found[-5:]) < sum(found[:5]) - 0.5
    trained_weights = run.adapter.describe().parameters
    assert trained_weights == parameters(layers=2, hidden=32, size=8, placement=placement)
    kept = {path.name for path in (run.folder / "job" / "checkpoints").glob("*/*.safetensors")}
    assert kept == {"adapter_model.safetensors"}


def _loss(model: Any, run: tk.Run) -> float:
    from tunekit.backends.local.held_out import HeldOut
    from tunekit.evaluation.measure import measure

    request = {**run.plan.request, "validation": str(run.folder / "data" / "validation.jsonl")}
    held_out = HeldOut.read(request, run.adapter.tokenizer())
    assert held_out is not None
    found = measure(
        model, held_out.tokenizer, tokens=held_out.tokens, prompts=[], max_new_tokens=1
    ).loss
    assert found is not None
    return found


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    spec = small(
        tmp_path,
        method={"type": "bottleneck", "size": 4, "dropout": 0.2},
        training={"max_steps": 6, "checkpoint_steps": 3},
    )
    backend = tk.Local(in_process=True)
    run = tk.run(spec, backend, progress=False)
    job = run.folder / "job"
    weights = (job / "adapter" / "adapter_model.safetensors").read_bytes()
    first = losses(run)
    assert {path.name for path in (job / "checkpoints").glob("checkpoint-*")} == {
        "checkpoint-3",
        "checkpoint-6",
    }

    shutil.rmtree(job / "checkpoints" / "checkpoint-6")
    shutil.rmtree(job / "adapter")
    backend.resume(tk.JobId(str(job)))

    assert (job / "adapter" / "adapter_model.safetensors").read_bytes() == weights
    again = [
        event.metrics["loss"]
        for event in backend.poll(tk.JobId(str(job)), None).events
        if event.kind == "metrics" and "loss" in event.metrics
    ]
    assert again == first + first[3:]


@pytest.mark.slow
def test_dpo_begins_at_log_two_and_moves_away_from_the_base_without_adapter(
    tmp_path: Path,
) -> None:
    spec = small(
        tmp_path,
        data=PAIRS,
        objective="dpo",
        method={"type": "bottleneck", "size": 8},
        training={"max_steps": 20, "learning_rate": 1e-2},
    )

    found = losses(tk.run(spec, tk.Local(in_process=True), progress=False))

    assert found[0] == pytest.approx(math.log(2), abs=1e-6)
    assert found[-1] < 0.9 * math.log(2)


@pytest.mark.slow
@pytest.mark.long
def test_on_the_demo_it_comes_within_a_tenth_of_a_lora_with_as_many_weights() -> None:
    lora, pfeiffer, houlsby = (train(method, rows=240) for method in METHODS.values())
    allowed = 1.1 * unseen(lora)[1]
    for run in (pfeiffer, houlsby):
        assert run.adapter.describe().parameters == pytest.approx(
            lora.adapter.describe().parameters, rel=0.01
        )
        assert unseen(run)[1] <= allowed


@pytest.mark.slow
def test_a_reward_model_keeps_its_head_beside_the_networks(tmp_path: Path) -> None:
    method = {"type": "bottleneck", "size": 4}
    spec = small(tmp_path, data=PAIRS, objective="reward", method=method, training={"max_steps": 4})
    run = tk.run(spec, tk.Local(in_process=True), progress=False)
    head = run.adapter.load().base_model.model.score.modules_to_save["default"].weight
    assert head.shape == (1, 32)
    weights = tmp_path / "without"
    shutil.copytree(run.adapter.folder, weights)
    change_weights(weights, lambda tensors: tensors.pop("base_model.model.score.weight"))
    with pytest.raises(tk.errors.AdapterError, match=r"score\.weight is missing: the head"):
        tk.Adapter.open(weights)


def test_the_size_left_to_the_plan_is_a_sixteenth_of_the_models_width() -> None:
    spec = tk.FineTune(model=LLAMA_8B.id, data="rows.jsonl", method="houlsby")
    plan = tk.Local(engine="peft", machine=H100).plan(spec, LLAMA_8B, rows(200))
    assert plan.request["peft"] == {
        "peft_type": "TUNEKIT_BOTTLENECK",
        "task_type": "CAUSAL_LM",
        "placement": "houlsby",
        "size": 4096 // 16,
        "activation": "relu",
        "dropout": 0.0,
    }
    assert not plan.unsupported


@pytest.mark.parametrize("method", [{"size": 4}, {"size": 4, "placement": "houlsby"}, {}])
def test_the_estimates_count_the_weights_that_learn(tmp_path: Path, method: Any) -> None:
    size = shape(models.describe(str(tiny_model(tmp_path / "model"))))
    assert size is not None
    wanted = tk.Bottleneck(**method)
    inner = method.get("size", 32 // 16)
    found = parameters(layers=2, hidden=32, size=inner, placement=wanted.placement)
    assert trained(size, wanted, rank=0) == found


@pytest.mark.parametrize(
    "settings", [{}, {"activation": "silu"}, {"placement": "houlsby"}], ids=str
)
def test_the_estimates_count_what_a_layer_keeps_for_the_backward_pass(settings: Any) -> None:
    """Against torch's own hooks, over a model of two layers and a row of seven tokens."""
    model = Shape(64, 2, q=64, k=64, i=160, vocabulary=64, parameters=0, embeddings=0)
    wanted = tk.Bottleneck(size=8, **settings)
    found = (_kept_bytes(size=8, **settings) - _kept_bytes()) / (2 * 7)
    assert bottleneck.kept(model, wanted, width=4) == found


def _kept_bytes(**settings: Any) -> int:
    """Bytes of the tensors that a forward pass saves, weights left out."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=64,
    )
    model: Any = LlamaForCausalLM(config).requires_grad_(False)
    if settings:
        model = adapted(model, **settings)
    model.train().enable_input_require_grads()
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    seen: dict[int, Any] = {}

    def note(tensor: Any) -> Any:
        seen[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(input_ids=torch.arange(7)[None], use_cache=False)
    return sum(t.untyped_storage().nbytes() for key, t in seen.items() if key not in weights)


@pytest.mark.parametrize(
    "backend", [tk.Together(), tk.Fireworks(), tk.Local(engine="unsloth", machine=H100)], ids=str
)
def test_who_trains_none_refuses_it_with_a_reason(backend: Any) -> None:
    spec = tk.FineTune(
        model="meta-llama/Llama-3.1-8B-Instruct", data="rows.jsonl", method="bottleneck"
    )
    refused = backend.plan(spec, LLAMA_8B, rows(200)).unsupported
    assert [change.field for change in refused] == ["method.type"]
    assert refused[0].reason
