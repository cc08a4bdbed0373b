"""`adapter_config.json` of a bottleneck adapter, read by a schema of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunekit.adapters.config import read_object
from tunekit.errors import AdapterError

PEFT_TYPE: Literal["TUNEKIT_BOTTLENECK"] = "TUNEKIT_BOTTLENECK"
"""What stands where PEFT looks for a method: it knows none of this name, and says so."""

CANNOT_MERGE = (
    "a bottleneck adapter is a network with an activation of its own, so no matrix of the base "
    "can take it in; load it beside its base, or train with method: lora to merge"
)
MOST_SIZE = 16_384

Placement = Literal["pfeiffer", "houlsby"]
Activation = Literal["relu", "gelu", "silu"]
Head = Literal["classifier", "score"]


class BottleneckConfig(BaseModel):
    """What makes a bottleneck adapter; a key that is not here stops the load."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    tunekit_type: Literal["bottleneck"] = "bottleneck"
    peft_type: Literal["TUNEKIT_BOTTLENECK"] = PEFT_TYPE
    task_type: Literal["CAUSAL_LM", "SEQ_CLS"] = "CAUSAL_LM"
    base_model_name_or_path: str | None = None
    revision: str | None = None
    peft_version: str | None = None
    inference_mode: bool = True
    placement: Placement
    size: Annotated[int, Field(ge=1, le=MOST_SIZE)]
    """Width of the network's inner layer."""
    activation: Activation = "relu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    modules_to_save: list[Head] | None = None
    """Names that the head of a reward model may have; it is saved beside the networks."""

    @property
    def method(self) -> str:
        """The method in words."""
        return f"bottleneck ({self.placement}) of size {self.size}, {self.activation}"

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of the class that PEFT is given."""
        kept = ("task_type", "placement", "size", "activation", "dropout", "modules_to_save")
        return {name: getattr(self, name) for name in kept}


def is_bottleneck(file: Path) -> bool:
    """Say whether a config claims to be one of a bottleneck adapter."""
    content = read_object(file)
    return "tunekit_type" in content or content.get("peft_type") == PEFT_TYPE


def read_bottleneck(file: Path) -> BottleneckConfig:
    """Read and check the config.

    Raises:
        AdapterError: it has a key that is not known, or a value that is none of a bottleneck's.
    """
    try:
        return BottleneckConfig.model_validate(read_object(file))
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(map(str, detail["loc"]))
        raise AdapterError(f"{file}: {place}: {detail['msg']}; tunekit does not load it") from None


def parameters(*, layers: int, hidden: int, size: int, placement: str) -> int:
    """Count the weights of an adapter: 2 h m + h + m for each network (Houlsby et al. 2019).

    `placement` "houlsby" has two networks in a block, "pfeiffer" one.
    """
    networks = layers * (2 if placement == "houlsby" else 1)
    return networks * (2 * hidden * size + hidden + size)
