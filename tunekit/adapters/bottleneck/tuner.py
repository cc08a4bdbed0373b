"""Bottleneck adapters as a method of PEFT, so that its models and TRL's trainers carry them.

PEFT adds a method by three tables (`peft.utils.register_peft_method` fills them for methods in its
own list of names). Everything about saving, switching off and freezing is then PEFT's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import peft
import torch
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

from tunekit.adapters.bottleneck.blocks import sublayers
from tunekit.adapters.bottleneck.config import CANNOT_MERGE, PEFT_TYPE, BottleneckConfig
from tunekit.errors import MissingExtra

_ACTIVATIONS: dict[str, Any] = {
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
}


@dataclass
class BottleneckPeftConfig(peft.PeftConfig):  # type: ignore[misc]
    """What PEFT asks of a config; on disk it is a `BottleneckConfig`."""

    tunekit_type: str = "bottleneck"
    placement: str = "pfeiffer"
    size: int = 64
    activation: str = "relu"
    dropout: float = 0.0
    base_model_name_or_path: str | None = None
    revision: str | None = None
    inference_mode: bool = False
    modules_to_save: list[str] | None = None
    adapted: frozenset[str] = field(default=frozenset(), init=False, repr=False)
    """Names of the modules that an adapter stands behind, once the model is known."""

    target_modules = None
    """Not a field: what is adapted follows from placement and model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PEFT_TYPE

    def to_dict(self) -> dict[str, Any]:
        """Give what is saved."""
        return BottleneckConfig(
            **{name: getattr(self, name) for name in BottleneckConfig.model_fields}
        ).model_dump()


class BottleneckLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A sub-layer of a block and the network behind it: y = f(x), y + up(act(down(y))).

    The up-projection begins at zero, so that an untrained adapter changes nothing.
    """

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self.bottleneck_dropout = nn.ModuleDict()
        self.activations: dict[str, Any] = {}

    def add(self, name: str, config: BottleneckPeftConfig, hidden: int) -> None:
        """Add the network of an adapter, in float32 whatever the base is in."""
        down, up = nn.Linear(hidden, config.size), nn.Linear(config.size, hidden)
        for empty in (down.bias, up.weight, up.bias):
            nn.init.zeros_(empty)
        device = next(self.base_layer.parameters()).device
        self.bottleneck_down[name] = down.float().to(device)
        self.bottleneck_up[name] = up.float().to(device)
        self.bottleneck_dropout[name] = nn.Dropout(config.dropout)
        self.activations[name] = _ACTIVATIONS[config.activation]
        self.set_adapter(name, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the sub-layer, and its adapters on the first thing that it gives."""
        given: Any = self.base_layer(*args, **kwargs)
        if self.disable_adapters:
            return given
        if isinstance(given, torch.Tensor):
            return self._adapted(given)
        hidden, *rest = given
        return (self._adapted(hidden), *rest)

    def _adapted(self, hidden: torch.Tensor) -> torch.Tensor:
        for name in self.active_adapters:
            if name in self.bottleneck_down:
                hidden = hidden + self._change(name, hidden)
        return hidden

    def _change(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        down: Any = self.bottleneck_down[name]
        inner = self.bottleneck_dropout[name](hidden.to(down.weight.dtype))
        change: torch.Tensor = self.bottleneck_up[name](self.activations[name](down(inner)))
        return change.to(hidden.dtype)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuse: a network with a non-linear layer is no part of a matrix."""
        raise ValueError(CANNOT_MERGE)

    def __getattr__(self, name: str) -> Any:
        # Some models look into their sub-layers, as for the index of an attention.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(self.base_layer, name)


class BottleneckModel(BaseTuner):  # type: ignore[misc]
    """Puts a `BottleneckLayer` around the sub-layers that the placement names."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer

    def _prepare_adapter_config(self, peft_config: Any, model_config: Any) -> Any:
        return peft_config

    def _prepare_model(self, peft_config: Any, model: Any) -> None:
        peft_config.adapted = frozenset(sublayers(model, peft_config.placement))

    @staticmethod
    def _check_target_module_exists(peft_config: Any, key: str) -> bool:
        return key in peft_config.adapted

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: Any,
        target_name: str,
        parent: Any,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        layer = target if isinstance(target, BottleneckLayer) else BottleneckLayer(target)
        hidden: int = cast("Any", self.model).config.get_text_config().hidden_size
        layer.add(adapter_name, peft_config, hidden)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: Any, child_name: str, new_module: Any, child: Any) -> None:
        setattr(parent, child_name, new_module)

    def _check_merge_allowed(self) -> None:
        raise ValueError(CANNOT_MERGE)


def peft_config(**arguments: Any) -> BottleneckPeftConfig:
    """Give the config for `get_peft_model` and for TRL's trainers.

    Raises:
        MissingExtra: PEFT is too old to be given a method.
    """
    if not hasattr(BaseTuner, "_get_adapter_state_dict"):
        raise MissingExtra(
            f"bottleneck adapters need peft 0.21 or newer, here is {peft.__version__}: "
            "pip install --upgrade peft",
            backend="local",
        )
    # PEFT's tables ask for members of its own enumeration, which are strings like this one.
    name = cast("Any", PEFT_TYPE)
    PEFT_TYPE_TO_CONFIG_MAPPING[name] = BottleneckPeftConfig
    PEFT_TYPE_TO_TUNER_MAPPING[name] = BottleneckModel
    PEFT_TYPE_TO_PREFIX_MAPPING[name] = BottleneckModel.prefix
    return BottleneckPeftConfig(**arguments)
