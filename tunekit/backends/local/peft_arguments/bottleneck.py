"""Bottleneck adapters as arguments of our own config beside PEFT's."""

from __future__ import annotations

from tunekit.adapters.bottleneck.config import PEFT_TYPE
from tunekit.backends.local.peft_arguments.found import Found
from tunekit.planning.ledger import Ledger


def bottleneck(use: Ledger) -> Found:
    """Give the arguments of `tunekit.adapters.bottleneck.tuner.peft_config`."""
    names = ("placement", "size", "activation", "dropout")
    return Found(
        peft={"peft_type": PEFT_TYPE, **{name: use.take(f"method.{name}") for name in names}}
    )
