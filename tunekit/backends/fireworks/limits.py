"""What a base model allows, asked before anything is bought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunekit.backends.answer import NotFound
from tunekit.backends.fireworks.account import Account
from tunekit.backends.fireworks.look import look
from tunekit.errors import RequestRejected

_LORA, _FULL = "supervisedLoraTunable", "supervisedFullParameterTunable"


def check(account: Account, settings: Mapping[str, Any], wanted: str | None = None) -> None:
    """Refuse what the model does not take, all of it at once.

    Args:
        account: That of the job.
        settings: What the training is told.
        wanted: The base that an adapter must have to be trained on; None takes any.

    Raises:
        RequestRejected: the model is unknown there, or cannot be trained so.
    """
    name, faults = str(settings.get("baseModel")), list[str]()
    if start := settings.get("warmStartFrom"):
        adapter = account.find(str(start))
        faults += _misfits(settings, str(start), adapter, wanted)
        name = str(look(adapter, "peftDetails", "baseModel"))
    faults += _faults(settings, name, _described(account, name))
    if faults:
        raise RequestRejected(f"fireworks: {'; '.join(faults)}", backend="fireworks")


def _misfits(
    settings: Mapping[str, Any], name: str, adapter: Any, wanted: str | None
) -> Iterator[str]:
    """Compare the adapter that training goes on from with what is wished for.

    Raises:
        RequestRejected: it is no adapter.
    """
    base, rank = (look(adapter, "peftDetails", key) for key in ("baseModel", "r"))
    if not isinstance(base, str):
        raise RequestRejected(
            f"fireworks: start_from: {name} is no adapter there; only those are trained on",
            backend="fireworks",
        )
    if wanted is not None and base != wanted:
        yield f"start_from: {name} was made of {base}, and the spec's model is {wanted}"
    if isinstance(rank, int) and rank != settings.get("loraRank"):
        yield f"start_from: {name} has rank {rank}; --set method.rank={rank}"


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
