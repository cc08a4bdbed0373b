"""Adapters have the published numbers of parameters: in PEFT, and in tunekit's planning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunekit.models import configured
from tunekit.planning.shape import rank_parameters, shape

# PEFT asks transformers under a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

LLAMA = {"model_type": "llama", "vocab_size": 128256, "rms_norm_eps": 1e-5, "head_dim": 128}
QWEN = {"model_type": "qwen3", "vocab_size": 151936, "head_dim": 128}


def sizes(hidden: int, layers: int, inner: int, heads: int, kv: int, *, tied: bool) -> Any:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "tie_word_embeddings": tied,
    }


# The config.json of each model, as far as sizes go.
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama-3.2-1B": {**LLAMA, **sizes(2048, 16, 8192, 32, 8, tied=True), "head_dim": 64},
    "Llama-3.2-3B": {**LLAMA, **sizes(3072, 28, 8192, 24, 8, tied=True)},
    "Llama-3.1-8B": {**LLAMA, **sizes(4096, 32, 14336, 32, 8, tied=False)},
    "Qwen3-0.6B": {**QWEN, **sizes(1024, 28, 3072, 16, 8, tied=True)},
    "Qwen3-8B": {**QWEN, **sizes(4096, 36, 12288, 32, 8, tied=False)},
}
ALL_LINEAR = {
    # tinker-cookbook's table, at rank 16.
    "Llama-3.1-8B": 41_943_040,
    "Qwen3-8B": 43_646_976,
    "Llama-3.2-1B": 11_272_192,
    "Llama-3.2-3B": 24_313_856,
    "Qwen3-0.6B": 10_092_544,
}
QUERIES = ("q_proj", "v_proj")


def counted(name: str, **settings: Any) -> int:
    """Count what learns when PEFT puts a LoRA on the model, without any weights."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config = dict(CONFIGS[name])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(config.pop("model_type"), **config)
        )
    model = get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", **settings), low_cpu_mem_usage=True
    )
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def planned(name: str, folder: Path, targets: Any) -> int:
    file = folder / "config.json"
    file.write_text(json.dumps(CONFIGS[name]))
    size = shape(configured(file))
    assert size is not None
    return rank_parameters(size, targets)


@pytest.mark.parametrize("name", ALL_LINEAR)
def test_an_adapter_of_all_linear_layers_has_the_published_size(tmp_path: Path, name: str) -> None:
    assert 16 * planned(name, tmp_path, "all-linear") == ALL_LINEAR[name]
    assert counted(name, r=16, target_modules="all-linear") == ALL_LINEAR[name]


def test_queries_and_values_have_the_size_of_pefts_comparison(tmp_path: Path) -> None:
    # method_comparison/MetaMathQA, Llama-3.2-3B at rank 32: LoRA, and with DoRA's lengths.
    name, options = "Llama-3.2-3B", {"r": 32, "target_modules": list(QUERIES)}
    assert 32 * planned(name, tmp_path, QUERIES) == 9_175_040
    assert counted(name, **options) == 9_175_040
    assert counted(name, use_dora=True, **options) == 9_289_728


def test_dora_adds_a_length_for_each_output() -> None:
    # 28 layers of 3,072 queries and 1,024 values.
    assert 9_289_728 - 9_175_040 == 28 * (3072 + 1024)
