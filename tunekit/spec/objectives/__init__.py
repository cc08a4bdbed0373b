"""What the training rewards, and which kind of rows that takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tunekit.spec.objectives.preference import DPO, IPO
from tunekit.spec.objectives.reference_free import CPO, ORPO, SimPO
from tunekit.spec.objectives.rollouts import GRPO
from tunekit.spec.objectives.supervised import SFT
from tunekit.spec.objectives.verdicts import KTO, Reward

__all__ = [
    "CPO",
    "DPO",
    "GRPO",
    "IPO",
    "KTO",
    "ORPO",
    "SFT",
    "Objective",
    "ObjectiveName",
    "Reward",
    "SimPO",
]


def _shorthand(value: Any) -> Any:
    return {"type": value.lower()} if isinstance(value, str) else value


ObjectiveName = Literal["sft", "dpo", "ipo", "kto", "simpo", "orpo", "cpo", "reward", "grpo"]

_Tagged = Annotated[
    SFT | DPO | IPO | KTO | SimPO | ORPO | CPO | Reward | GRPO, Field(discriminator="type")
]

Objective = Annotated[
    _Tagged,
    BeforeValidator(_shorthand, json_schema_input_type=ObjectiveName | _Tagged),
]
