"""How the model is changed: which weights learn, and in what shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from tunekit.spec.methods.bottleneck import Bottleneck as Bottleneck
from tunekit.spec.methods.full import Full as Full
from tunekit.spec.methods.lora import AdaLoRA as AdaLoRA
from tunekit.spec.methods.lora import LoRA as LoRA
from tunekit.spec.methods.lora import QLoRA as QLoRA
from tunekit.spec.methods.orthogonal import BOFT as BOFT
from tunekit.spec.methods.orthogonal import OFT as OFT
from tunekit.spec.methods.peft import Peft as Peft
from tunekit.spec.methods.products import LoHa as LoHa
from tunekit.spec.methods.products import LoKr as LoKr
from tunekit.spec.methods.soft_prompts import Prefix as Prefix
from tunekit.spec.methods.soft_prompts import Prompt as Prompt
from tunekit.spec.methods.soft_prompts import PTuning as PTuning
from tunekit.spec.methods.vectors import IA3 as IA3
from tunekit.spec.methods.vectors import LNTuning as LNTuning
from tunekit.spec.methods.vectors import VeRA as VeRA

AnyMethod = (
    Full
    | LoRA
    | QLoRA
    | AdaLoRA
    | IA3
    | LoHa
    | LoKr
    | OFT
    | BOFT
    | VeRA
    | Prefix
    | Prompt
    | PTuning
    | LNTuning
    | Bottleneck
    | Peft
)
"""Every method, one class each."""

SHORTHANDS: dict[str, dict[str, Any]] = {
    "dora": {"type": "lora", "use_dora": True},
    "rslora": {"type": "lora", "use_rslora": True},
    "lora+": {"type": "lora", "lr_ratio": 16.0},
    "loraplus": {"type": "lora", "lr_ratio": 16.0},
    "lora-plus": {"type": "lora", "lr_ratio": 16.0},
    "pissa": {"type": "lora", "init": "pissa"},
    "olora": {"type": "lora", "init": "olora"},
    "eva": {"type": "lora", "init": "eva"},
    "loftq": {"type": "qlora", "init": "loftq"},
    "qdora": {"type": "qlora", "use_dora": True},
    "prefix-tuning": {"type": "prefix"},
    "prompt-tuning": {"type": "prompt"},
    "p-tuning": {"type": "ptuning"},
    "ln-tuning": {"type": "lntuning"},
    "houlsby": {"type": "bottleneck", "placement": "houlsby"},
    "pfeiffer": {"type": "bottleneck", "placement": "pfeiffer"},
}
"""Words of the field for a method with an option set."""

MethodName = Literal[
    "full",
    "lora",
    "qlora",
    "adalora",
    "ia3",
    "loha",
    "lokr",
    "oft",
    "boft",
    "vera",
    "prefix",
    "prompt",
    "ptuning",
    "lntuning",
    "bottleneck",
    "dora",
    "rslora",
    "lora+",
    "loraplus",
    "lora-plus",
    "pissa",
    "olora",
    "eva",
    "loftq",
    "qdora",
    "prefix-tuning",
    "prompt-tuning",
    "p-tuning",
    "ln-tuning",
    "houlsby",
    "pfeiffer",
]
"""What may stand for a method in one word."""


def _shorthand(value: Any) -> Any:
    """Give a word, or a mapping whose type is one, as the method that it means."""
    if isinstance(value, str):
        return _shorthand({"type": value})
    if not isinstance(value, Mapping):
        return value
    given = cast("Mapping[str, Any]", value)
    word = given.get("type")
    if not isinstance(word, str):
        return given
    word = word.lower().replace("_", "-")
    return {**given, **SHORTHANDS.get(word, {"type": word})}


_Tagged = Annotated[AnyMethod, Field(discriminator="type")]

Method = Annotated[
    _Tagged,
    BeforeValidator(_shorthand, json_schema_input_type=MethodName | _Tagged),
]
