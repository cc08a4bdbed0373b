"""The weights that learn are as many as PEFT makes, for every method."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import tunekit as tk
from tests.planning.setting import CPU, SMOL, a_model, rows
from tunekit.backends.local.methods import config, freezing
from tunekit.planning.shape import shape
from tunekit.planning.trained import factors, trained
from tunekit.testing.full import members

# Heads narrower than the model and an odd MLP, so that no two sizes are alike.
ODD = a_model(64, 3, 4, 2, 160, 96, 160_192, head_dim=24)
METHODS: list[dict[str, Any]] = [
    {"type": "full", "last_layers": 2},
    {"type": "lora", "rank": 6},
    {"type": "lora", "rank": 6, "use_dora": True, "target_modules": ["k_proj", "down_proj"]},
    {"type": "adalora", "rank": 4},
    {"type": "adalora", "rank": 4, "initial_rank": 9},
    {"type": "ia3"},
    {
        "type": "ia3",
        "target_modules": ["k_proj", "down_proj"],
        "feedforward_modules": ["down_proj"],
    },
    {"type": "loha", "rank": 3},
    {"type": "lokr", "rank": 2},
    {"type": "lokr", "rank": 1, "decompose_both": True},
    {"type": "lokr", "rank": 2, "decompose_factor": 4},
    {"type": "oft", "block_size": 8},
    {"type": "oft", "block_size": 16, "block_share": True},
    {"type": "boft", "block_size": 8},
    {"type": "vera", "rank": 12},
    {"type": "prefix", "num_virtual_tokens": 7},
    {"type": "prompt", "num_virtual_tokens": 7},
    {"type": "ptuning", "num_virtual_tokens": 7},
    {"type": "ptuning", "num_virtual_tokens": 7, "encoder_hidden_size": 20},
    {"type": "ptuning", "num_virtual_tokens": 7, "encoder": "lstm", "encoder_hidden_size": 20},
    {"type": "ptuning", "encoder": "lstm", "encoder_hidden_size": 8, "encoder_num_layers": 3},
    {"type": "lntuning"},
    {"type": "bottleneck", "size": 5, "placement": "houlsby"},
]


def built(method: dict[str, Any]) -> tuple[Any, tk.Plan, Any]:
    """Give a model of the odd sizes with the adapter that the plan asks for."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = LlamaConfig(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        intermediate_size=160,
        vocab_size=96,
        tie_word_embeddings=False,
    )
    spec = tk.FineTune(model="acme/model", data="rows.jsonl", method=method)
    plan = tk.Local(machine=CPU).plan(spec, ODD, rows())
    return LlamaForCausalLM(sizes), plan, spec.method


@pytest.mark.filterwarnings("ignore")  # PEFT's own
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_weights_that_learn_are_as_many_as_peft_makes(method: dict[str, Any]) -> None:
    from peft import get_peft_model

    model, plan, asked = built(method)
    assert sum(weight.numel() for weight in model.parameters()) == ODD.parameters
    if method["type"] == "full":
        freezing.freeze(model, method["last_layers"])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = get_peft_model(model, config.build(plan.request, model))

    size = shape(ODD)
    assert size is not None
    learn = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert trained(size, asked, rank=method.get("rank", 0)) == learn


@pytest.mark.parametrize("kind", members("method"), ids=lambda kind: kind.__name__)
def test_a_plan_of_every_method_has_its_memory_and_time(kind: type[Any]) -> None:
    tag = kind.model_fields["type"].default
    config = {"peft_type": "MISS", "r": 4, "target_modules": "all-linear"}
    method = {"type": tag, **({"config": config} if tag == "peft" else {})}
    spec = tk.FineTune(model="acme/model", data="rows.jsonl", method=method)
    for model in (SMOL, ODD):
        plan = tk.Local(machine=CPU).plan(spec, model, rows())
        assert {"memory", "time"} <= {estimate.name for estimate in plan.estimates}
        assert all(each.value is None or each.value >= 0 for each in plan.estimates)


@pytest.mark.parametrize(
    ("dimension", "factor"), [(n, f) for n in (7, 64, 96, 160, 576, 1536) for f in (-1, 4, 5, 16)]
)
def test_a_dimension_is_split_as_lycoris_does(dimension: int, factor: int) -> None:
    from peft.tuners.lokr.layer import factorization

    assert factors(dimension, factor) == factorization(dimension, factor)
