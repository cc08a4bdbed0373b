"""The config of an adapter, whatever its method."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tunekit.adapters.bottleneck.config import (
    CANNOT_MERGE,
    BottleneckConfig,
    is_bottleneck,
    read_bottleneck,
)
from tunekit.adapters.bottleneck.weights import networks
from tunekit.adapters.config import (
    MOST_SCALE,
    AdapterConfig,
    read_config,
    read_object,
    validated,
)
from tunekit.adapters.header import Tensor
from tunekit.adapters.layers import modules
from tunekit.adapters.peft_types.base import PeftTypeConfig
from tunekit.adapters.peft_types.table import TYPES
from tunekit.adapters.peft_types.tensors import layers
from tunekit.errors import AdapterError

AnyConfig = AdapterConfig | PeftTypeConfig | BottleneckConfig


def read_any(file: Path) -> AnyConfig:
    """Read and check a config by the schema of its method.

    Raises:
        AdapterError: a key or value is not known to be harmless.
    """
    if is_bottleneck(file):
        return read_bottleneck(file)
    kind = read_object(file).get("peft_type", "LORA")
    if kind == "LORA":
        return read_config(file)
    if not isinstance(kind, str) or kind not in TYPES:
        known = ", ".join(sorted({"LORA", *TYPES}))
        raise AdapterError(f"{file}: peft_type {kind!r} is none that tunekit checks: {known}")
    return _typed(file, TYPES[kind])


def _typed(file: Path, schema: type[PeftTypeConfig]) -> PeftTypeConfig:
    config = validated(file, schema)
    if config.scaled is not None and config.rank and config.scaled / config.rank > MOST_SCALE:
        raise AdapterError(
            f"{file}: alpha / rank is {config.scaled / config.rank:g}; "
            f"more than {MOST_SCALE:g} is a mistake"
        )
    return config


def faults(kind: str, asked: Mapping[str, Any]) -> str | None:
    """Say what is wrong with arguments of PEFT's config, as far as its adapter would be refused."""
    schema = AdapterConfig if kind == "LORA" else TYPES[kind]
    unknown = sorted(asked.keys() - schema.model_fields.keys())
    if unknown:
        close = difflib.get_close_matches(unknown[0], schema.model_fields, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{unknown[0]} is no setting of {kind} that tunekit knows to be harmless{hint}"
    try:
        schema.model_validate(asked)
    except ValidationError as error:
        for detail in error.errors():
            if detail["type"] != "missing":
                return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
    return None


def cannot_merge(config: AnyConfig) -> str | None:
    """Say why an adapter cannot be folded into its base; None where it can."""
    if isinstance(config, BottleneckConfig):
        return CANNOT_MERGE
    if isinstance(config, PeftTypeConfig) and not config.merges:
        return (
            f"{config.method} puts virtual tokens before the prompt, and no matrix of the base can "
            "take them in; load it beside its base, or train with method: lora to merge"
        )
    return None


def sizes(config: AnyConfig) -> tuple[int | None, float | None]:
    """Give rank and alpha, as far as a method has them."""
    if isinstance(config, AdapterConfig):
        return config.r, config.lora_alpha
    return (config.rank, config.scaled) if isinstance(config, PeftTypeConfig) else (None, None)


def adapted(config: AnyConfig, tensors: Mapping[str, Tensor]) -> Iterable[str]:
    """Name the layers of the base that an adapter changes."""
    if isinstance(config, BottleneckConfig):
        return networks(tensors.values())
    if isinstance(config, PeftTypeConfig):
        return layers(tensors.values(), config)
    return modules(tensors)
