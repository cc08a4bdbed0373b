"""Names of models: on the hub, at Together, at Fireworks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Service = Literal["together", "fireworks"]

EMBEDDED = {"embedded:smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""Models that come in a package, under the id that the hub has for them."""

_FIREWORKS = "accounts/fireworks/models/"

_ROWS: tuple[tuple[str, str, str], ...] = (
    (
        "meta-llama/Llama-3.1-8B-Instruct",
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference",
        "llama-v3p1-8b-instruct",
    ),
    (
        "meta-llama/Llama-3.1-70B-Instruct",
        "meta-llama/Meta-Llama-3.1-70B-Instruct-Reference",
        "llama-v3p1-70b-instruct",
    ),
    (
        "meta-llama/Llama-3.3-70B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct-Reference",
        "llama-v3p3-70b-instruct",
    ),
    (
        "meta-llama/Llama-3.2-1B-Instruct",
        "meta-llama/Llama-3.2-1B-Instruct",
        "llama-v3p2-1b-instruct",
    ),
    (
        "meta-llama/Llama-3.2-3B-Instruct",
        "meta-llama/Llama-3.2-3B-Instruct",
        "llama-v3p2-3b-instruct",
    ),
)
"""Models whose names do not follow the rule: hub, Together, Fireworks.

The rule: Together takes the hub's id. Fireworks takes the last part of it in lower case, with `p`
for the point of a version: `Qwen/Qwen2.5-7B-Instruct` is `qwen2p5-7b-instruct`.
"""


@dataclass(frozen=True)
class Named:
    """A service's name of a model, and how sure it is."""

    name: str
    known: bool
    """False where it follows the rule only; the service is asked before anything is bought."""


def named(model: str, service: Service) -> Named:
    """Give the name of a model at a service."""
    hub = EMBEDDED.get(model, model)
    for ours, together, fireworks in _ROWS:
        if hub.lower() == ours.lower():
            return Named(together if service == "together" else _FIREWORKS + fireworks, True)
    if service == "together" or hub.startswith("accounts/"):
        return Named(hub, False)
    return Named(_FIREWORKS + _slug(hub), False)


def hub_id(name: str, service: Service) -> str | None:
    """Give the hub's id of a service's model, None where the name does not tell."""
    for ours, together, fireworks in _ROWS:
        if name == (together if service == "together" else _FIREWORKS + fireworks):
            return ours
    return name if service == "together" else None


def _slug(hub: str) -> str:
    last = hub.rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=\d)\.(?=\d)", "p", last)).strip("-")
