"""Any other method of PEFT, by its own configuration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from tunekit.spec.strict import Strict


class Peft(Strict):
    """Train with a configuration of PEFT, given as the keys and values of its class.

    `Peft(config={"peft_type": "FOURIERFT", "target_modules": "all-linear", "n_frequency": 300})`
    """

    type: Literal["peft"] = "peft"
    """What PEFT puts on the model learns; the base is frozen."""
    config: dict[str, Any]
    """`peft_type` and the arguments of its config class; the worker checks them by building it."""

    @field_validator("config")
    @classmethod
    def _names_a_type(cls, value: dict[str, Any]) -> dict[str, Any]:
        kind = value.get("peft_type")
        if not isinstance(kind, str) or not kind:
            raise ValueError("says no peft_type; write one of PEFT's, such as peft_type: FOURIERFT")
        return {**value, "peft_type": kind.upper()}
