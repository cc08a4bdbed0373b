"""What the config of every method of PEFT has, and how its tensors are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Dimensions = tuple[str | int, ...]
"""A tensor's shape: numbers, and names that stand for one number in a layer. "*": any."""
Tensors = Mapping[str, Dimensions]
"""Tensors by the last part of their names."""
Group = tuple[Tensors, ...]
"""Alternatives, of which a layer has one."""

Rank = Annotated[int, Field(ge=1, le=4096)]
Count = Annotated[int, Field(ge=0, le=1 << 20)]
Scale = Annotated[float, Field(gt=0, le=1 << 20, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Names = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=1 << 16)]
Pattern = Annotated[str, Field(max_length=4096)]


class PeftTypeConfig(BaseModel):
    """A config of PEFT by an allow-list of keys and bounds of values; any other key stops a load.

    Some keys are read by nobody and are here because PEFT writes them into every config.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: ClassVar[str]
    """The method in words."""
    config: ClassVar[str]
    """PEFT's class of the config."""
    told: ClassVar[tuple[str, ...]] = ()
    """Keys that PEFT is told when the adapter is loaded."""
    groups: ClassVar[tuple[Group, ...]] = ()
    """Tensors of each layer: one alternative of every group."""
    shared: ClassVar[Tensors] = {}
    """Tensors beside the layers, by their whole names."""
    idle: ClassVar[tuple[str, float] | None] = None
    """A part of each layer, and the value that all its numbers have until it is trained."""
    merges: ClassVar[bool] = True
    """Whether PEFT can fold it into the base."""
    goes_on: ClassVar[bool] = True
    """Whether all that is needed to train it further is saved."""

    task_type: Literal["CAUSAL_LM", "SEQ_CLS"] | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    peft_version: str | None = None
    inference_mode: bool = True
    modules_to_save: Names | None = None

    @property
    def method(self) -> str:
        """The method's name in a paper."""
        return self.name

    @property
    def rank(self) -> int | None:
        """The rank, where the method has one."""
        return getattr(self, "r", None) or None

    @property
    def scaled(self) -> float | None:
        """The scale before it is divided by the rank, where the method has one."""
        return getattr(self, "alpha", None)

    def dimensions(self, module: str) -> Mapping[str, int]:
        """Say what the config knows of the names in the shapes of a layer."""
        return {}

    def arguments(self, modules: list[str]) -> dict[str, Any]:
        """Give the arguments of PEFT's class; `modules` are the layers that have weights."""
        given = {name: getattr(self, name) for name in self.told}
        saved = {"modules_to_save": self.modules_to_save} if self.modules_to_save else {}
        return {"task_type": self.task_type or "CAUSAL_LM", **given, **saved}


class LayersConfig(PeftTypeConfig):
    """A method that adapts layers by their names."""

    target_modules: Pattern | Names | None = None
    exclude_modules: Pattern | Names | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: str | list[str] | None = None
    bias: Literal["none"] = "none"
    fan_in_fan_out: bool = False
    init_weights: bool = True

    @property
    def listed(self) -> list[str] | None:
        """The layers by name, where the config says nothing beyond these names."""
        if self.exclude_modules or self.layers_to_transform is not None:
            return None
        return self.target_modules if isinstance(self.target_modules, list) else None

    def arguments(self, modules: list[str]) -> dict[str, Any]:
        """Give the arguments of PEFT's class.

        A regular expression, or a choice of layers, is replaced by the layers themselves.
        """
        named = modules if self.listed is None else self.listed
        return {**super().arguments(modules), "target_modules": named}
