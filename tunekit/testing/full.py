"""Specs in which every field is set, for each method and objective."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, cast, get_args

from pydantic import BaseModel

from tunekit.spec.finetune import FineTune

VALUES: dict[str, Any] = {
    "alpha": 16.0,
    "batch_size": 4,
    "beta": 0.25,
    "checkpoint_steps": 50,
    "double_quantization": False,
    "dropout": 0.1,
    "dtype": "float32",
    "enabled": False,
    "epochs": 2.0,
    "examples": 1,
    "folder": "results",
    "gamma": 0.5,
    "generations": 2,
    "gradient_checkpointing": True,
    "learning_rate": 1e-5,
    "length_normalized": True,
    "max_grad_norm": 0.5,
    "max_length": 128,
    "max_new_tokens": 16,
    "max_steps": 20,
    "name": "contract",
    "packing": True,
    "quantization": "int8",
    "rank": 4,
    "scheduler": "linear",
    "seed": 7,
    "sft_weight": 0.5,
    "target_modules": ("q_proj", "v_proj"),
    "train_on": "all",
    "warmup_ratio": 0.1,
    "weight_decay": 0.01,
}
"""One value for each field, none of them its default."""

HELD = ("data", "validation", "evaluation", "output", "extra")
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
    """Pair every method with every objective."""
    return itertools.product(members("method"), members("objective"))


def members(field: str) -> tuple[type[BaseModel], ...]:
    """List the classes of a union of the spec."""
    return cast("tuple[type[BaseModel], ...]", get_args(FineTune.model_fields[field].annotation))


def _part(kind: type[BaseModel]) -> Any:
    values = {name: VALUES[name] for name in kind.model_fields if name != "type"}
    return kind(**values)


def _model(name: str) -> type[BaseModel]:
    return cast("type[BaseModel]", FineTune.model_fields[name].annotation)
