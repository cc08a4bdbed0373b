"""Specs in which every field is set, for each method and objective."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, cast, get_args

from pydantic import BaseModel

from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import LoRA
from tunekit.spec.objectives import SFT

VALUES: dict[str, Any] = {
    "block_share": True,
    "block_size": 8,
    "butterfly_factors": 2,
    "config": {"peft_type": "FOURIERFT", "target_modules": "all-linear", "n_frequency": 10},
    "d_initial": 0.2,
    "decompose_both": True,
    "decompose_factor": 4,
    "encoder": "lstm",
    "encoder_dropout": 0.1,
    "encoder_hidden_size": 16,
    "encoder_num_layers": 1,
    "feedforward_modules": ("v_proj",),
    "init": "random",
    "init_text": "Answer in short.",
    "initial_rank": 8,
    "last_layers": 1,
    "lr_ratio": 4.0,
    "module_dropout": 0.1,
    "num_virtual_tokens": 8,
    "orth_reg_weight": 0.1,
    "projection_prng_key": 1,
    "prune_end": 0.8,
    "prune_every": 2,
    "prune_start": 0.2,
    "rank_dropout": 0.1,
    "use_dora": True,
    "use_rslora": True,
    "activation": "silu",
    "placement": "houlsby",
    "size": 8,
    "alpha": 16.0,
    "batch_size": 4,
    "beta": 0.25,
    "center_rewards_coefficient": 0.05,
    "checkpoint_steps": 50,
    "double_quantization": False,
    "desirable_weight": 1.2,
    "dropout": 0.1,
    "dtype": "float32",
    "early_stopping": 2,
    "enabled": False,
    "epochs": 2.0,
    "examples": 1,
    "folder": "results",
    "forgetting": False,
    "gamma": 0.5,
    "gate": {"verdict": "improved"},
    "generations": 2,
    "gradient_checkpointing": True,
    "json_schema": {"type": "object"},
    "judge": {"url": "https://judge.example/v1", "model": "judge"},
    "label_smoothing": 0.2,
    "learning_rate": 1e-5,
    "length_normalized": True,
    "loss": "robust",
    "max_grad_norm": 0.5,
    "max_length": 128,
    "max_lora_rank": 64,
    "max_new_tokens": 16,
    "max_steps": 20,
    "metrics": ("exact_match",),
    "name": "contract",
    "overfitting": False,
    "packing": True,
    "profile": "specialist",
    "quantization": "int8",
    "rank": 4,
    "replay": {"source": "general", "ratio": 0.25},
    "reward_weights": (2.0,),
    "rewards": ("json_valid",),
    "scheduler": "linear",
    "seed": 7,
    "serve": "multi-lora",
    "sft_weight": 0.5,
    "target_modules": ("q_proj", "v_proj"),
    "temperature": 0.7,
    "train_on": "all",
    "undesirable_weight": 1.5,
    "warmup_ratio": 0.1,
    "weight_decay": 0.01,
}
"""One value for each field, none of them its default."""

OF_TYPE: dict[str, dict[str, Any]] = {
    "lora": {"init": "gaussian"},
    "qlora": {"init": "gaussian"},
    "lntuning": {"target_modules": ("input_layernorm",)},
}
"""Values that fit one member of a union only."""

HELD = ("data", "validation", "evaluation", "output", "extra", "training.replay")
"""Parts that tunekit carries out itself where a backend does not."""


def full(spec: FineTune, method: type[BaseModel], objective: type[BaseModel]) -> FineTune:
    """Set every field of the spec, with this method and objective."""
    return FineTune(
        model=spec.model,
        data=spec.data,
        validation=0.5,
        method=_part(method),
        objective=_part(objective),
        **{name: _part(_model(name)) for name in ("training", "evaluation", "output")},
    )


def combinations() -> Iterator[tuple[type[BaseModel], type[BaseModel]]]:
    """Pair every method with SFT, and every objective with LoRA too."""
    yield from ((method, SFT) for method in members("method"))
    yield from ((LoRA, objective) for objective in members("objective") if objective is not SFT)


def every() -> Iterator[tuple[type[BaseModel], type[BaseModel]]]:
    """Pair every method with every objective."""
    return itertools.product(members("method"), members("objective"))


def members(field: str) -> tuple[type[BaseModel], ...]:
    """List the classes of a union of the spec."""
    return cast("tuple[type[BaseModel], ...]", get_args(FineTune.model_fields[field].annotation))


def fields(part: str) -> frozenset[str]:
    """Name every field of every member of a union, as `method.rank`."""
    return frozenset(f"{part}.{name}" for kind in members(part) for name in kind.model_fields)


def _part(kind: type[BaseModel]) -> Any:
    values = {name: VALUES[name] for name in kind.model_fields if name != "type"}
    tag = kind.model_fields["type"].default if "type" in kind.model_fields else ""
    return kind(**values | OF_TYPE.get(tag, {}))


def _model(name: str) -> type[BaseModel]:
    return cast("type[BaseModel]", FineTune.model_fields[name].annotation)
