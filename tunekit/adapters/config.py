"""`adapter_config.json`, read by a schema of our own: PEFT imports modules that it names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunekit.adapters.header import unique
from tunekit.errors import AdapterError

MOST_BYTES = 1 << 20
MOST_SCALE = 128.0
"""alpha / rank (of rsLoRA, over its square root); 0.25 to 32 are in use."""

_NAMES_CODE = ("megatron", "auto_map")
_HARMLESS = {"megatron_core": "megatron.core", "qalora_group_size": 16}
"""What PEFT writes into every config, and reads only beside a setting that is refused here."""

_OURS = re.compile(r"transformers\.models\.[a-z0-9_]+\.modeling_[a-z0-9_]+")

Pattern = Annotated[str, Field(pattern=r"^[\w.\\^$|-]{1,200}$")]
"""A layer name or a regular expression that cannot run for long."""

Schema = TypeVar("Schema", bound=BaseModel)

PositiveInt = Annotated[int, Field(ge=1, le=4096)]


class AdapterConfig(BaseModel):
    """What makes a LoRA adapter; a key that is not here stops the load unless it is off."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    peft_type: Literal["LORA"]
    task_type: Literal["CAUSAL_LM", "SEQ_CLS"] | None = None
    """SEQ_CLS: a reward model, whose head is among `modules_to_save`."""
    base_model_name_or_path: str | None = None
    revision: str | None = None
    peft_version: str | None = None
    inference_mode: bool = True
    r: PositiveInt
    lora_alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Annotated[str, Field(max_length=4096)] | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: str | list[str] | None = None
    modules_to_save: list[str] | None = None
    rank_pattern: dict[Pattern, PositiveInt] = {}
    alpha_pattern: dict[Pattern, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}
    bias: Literal["none"] = "none"
    use_rslora: bool = False
    use_dora: bool = False
    fan_in_fan_out: bool = False
    ensure_weight_tying: bool = False
    # The others (pissa, olora, corda, loftq) change the base, which a fresh base does not know of.
    init_lora_weights: bool | Literal["gaussian", "eva", "orthogonal"] = True

    @property
    def ranks(self) -> set[int]:
        """Every rank that a layer may have."""
        return {self.r, *self.rank_pattern.values()}

    @property
    def scale(self) -> float:
        """What the adapter is multiplied by at most."""
        alpha, rank = max(self.lora_alpha, *self.alpha_pattern.values(), 0), min(self.ranks)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    @property
    def method(self) -> str:
        """The method's name in a spec or paper."""
        name = "DoRA" if self.use_dora else "LoRA"
        return f"rank-stabilised {name}" if self.use_rslora else name

    @property
    def listed(self) -> list[str] | None:
        """The layers by name, where the config says nothing beyond these names."""
        if self.exclude_modules or self.layers_to_transform is not None:
            return None
        return self.target_modules if isinstance(self.target_modules, list) else None

    def arguments(self, modules: list[str]) -> dict[str, Any]:
        """Give the arguments of `peft.LoraConfig`; `modules` are the layers that have weights.

        A regular expression, or a choice of layers, is replaced by the layers themselves.
        """
        kept = (
            *("r", "lora_alpha", "lora_dropout", "modules_to_save", "rank_pattern"),
            *("alpha_pattern", "bias", "use_rslora", "use_dora", "fan_in_fan_out"),
        )
        tied = {"ensure_weight_tying": True} if self.ensure_weight_tying else {}
        return {
            **{name: getattr(self, name) for name in kept},
            **tied,
            "task_type": self.task_type or "CAUSAL_LM",
            "target_modules": modules if self.listed is None else self.listed,
        }


def read_config(file: Path) -> AdapterConfig:
    """Read and check the config.

    Raises:
        AdapterError: it names code to import, has a key or value that is not known to be
            harmless, or scales the adapter beyond reason.
    """
    config = validated(file, AdapterConfig)
    if config.scale > MOST_SCALE:
        below = "sqrt(r)" if config.use_rslora else "r"
        raise AdapterError(
            f"{file}: lora_alpha / {below} is {config.scale:g}; "
            f"more than {MOST_SCALE:g} is a mistake"
        )
    return config


def validated(file: Path, schema: type[Schema]) -> Schema:
    """Read a config by a schema; keys that are off are passed over, unknown ones refused.

    Raises:
        AdapterError: it names code to import, or has a key or value that is not known to be
            harmless.
    """
    known = {
        name: value
        for name, value in read_object(file).items()
        if _matters(name, value, file, schema.model_fields.keys())
    }
    try:
        return schema.model_validate(known)
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(map(str, detail["loc"]))
        raise AdapterError(f"{file}: {place}: {detail['msg']}; tunekit does not load it") from None


def read_object(file: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """Read a JSON object of at most so many bytes.

    Raises:
        AdapterError: it is something else, or says a key twice.
    """
    if file.stat().st_size > most:
        raise AdapterError(f"{file}: is larger than {most} bytes")
    try:
        content = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{file}: is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise AdapterError(f"{file}: is no JSON object")
    return cast("dict[str, Any]", content)


def _matters(name: str, value: Any, file: Path, fields: Collection[str]) -> bool:
    """Say whether a key is read; one that is off is passed over, any other is refused."""
    off = not value or _HARMLESS.get(name) == value
    off = off or (name == "auto_mapping" and _names_ours(value))
    if name.startswith(_NAMES_CODE):
        if not off:
            raise AdapterError(f"{file}: {name} names code to import; tunekit never loads it")
        return False
    if name in fields:
        # Configs written by others say null for what they leave open.
        return value is not None
    if not off:
        raise AdapterError(
            f"{file}: {name}={value!r} is a setting that tunekit does not know to be harmless"
        )
    return False


def _names_ours(mapping: Any) -> bool:
    """Say whether a mapping names a model of transformers, as Unsloth writes; it is not read."""
    if not isinstance(mapping, dict):
        return False
    library = cast("dict[str, Any]", mapping).get("parent_library")
    return isinstance(library, str) and _OURS.fullmatch(library) is not None
