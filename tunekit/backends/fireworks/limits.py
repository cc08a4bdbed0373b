"""What a base model allows, asked before anything is bought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunekit.backends.answer import NotFound
from tunekit.backends.fireworks.account import Account
from tunekit.backends.fireworks.look import look
from tunekit.errors import RequestRejected

_LORA, _FULL = "supervisedLoraTunable", "supervisedFullParameterTunable"


def check(account: Account, settings: Mapping[str, Any]) -> None:
    """Refuse what the model does not take, all of it at once.

    Raises:
        RequestRejected: the model is unknown there, or cannot be trained so.
    """
    name = str(settings.get("warmStartFrom") or settings.get("baseModel"))
    model = _described(account, name)
    if "warmStartFrom" in settings:
        base = look(model, "peftDetails", "baseModel")
        if not isinstance(base, str):
            raise RequestRejected(
                f"fireworks: warmStartFrom: {name} is no adapter; only those are trained on",
                backend="fireworks",
            )
        name, model = base, _described(account, base)
    faults = list(_faults(settings, name, model))
    if faults:
        raise RequestRejected(f"fireworks: {'; '.join(faults)}", backend="fireworks")


def _described(account: Account, name: str) -> dict[str, Any]:
    try:
        return account.get(name)
    except NotFound:
        raise RequestRejected(
            f"fireworks: knows no model {name}; write the name it has there as model_name: "
            "accounts/fireworks/models/... in the backend's options",
            backend="fireworks",
        ) from None


def _faults(settings: Mapping[str, Any], name: str, model: Mapping[str, Any]) -> Iterator[str]:
    full = settings.get("loraRank") == 0
    flag = _FULL if full else _LORA
    # Older answers have one flag for all.
    allowed = model.get(flag) if {_LORA, _FULL} & model.keys() else model.get("tunable")
    if not allowed:
        how = "in all its weights (method full)" if full else "with an adapter"
        yield f"{name} cannot be trained {how} there"
    longest, asked = model.get("trainingContextLength"), settings.get("maxContextLength")
    if isinstance(longest, int) and longest and isinstance(asked, int) and asked > longest:
        yield f"training.max_length: {asked} tokens are over the {longest} that {name} takes"
