"""Who trains: TRL and PEFT, or Unsloth."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change

Engine = Literal["peft", "unsloth"]


def choose_engine(asked: str, python: str | None, machine: Machine) -> Change:
    """Resolve the engine, with the reason that the plan shows."""
    if asked != "auto":
        engine, reason = asked, "asked for"
    elif machine.device == "cuda" and python is None and find_spec("unsloth") is not None:
        engine, reason = "unsloth", "a CUDA device is here and unsloth is installed"
    elif machine.device == "cuda":
        engine, reason = "peft", "unsloth is not installed in this environment"
    else:
        engine, reason = "peft", f"unsloth pays on CUDA; the device here is {machine.device}"
    return Change(field="backend.engine", outcome="auto", asked=asked, used=engine, reason=reason)
