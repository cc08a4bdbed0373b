"""Replay in a plan: mixed in here, by the worker, or not at all."""

from __future__ import annotations

from tunekit.data.profile import Profile
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import SFT

_IMITATION = "chats are mixed in where answers are imitated: objective sft"
_SELF = "the base writes these answers, and here nobody runs it before the training; take general"


def hold(use: Ledger, spec: FineTune, data: Profile, *, writes: bool = False) -> None:
    """Account for `training.replay`.

    Args:
        use: The ledger.
        spec: The spec.
        data: The rows, general chats among them.
        writes: The backend can let the base write answers before it trains.
    """
    wanted = spec.training.replay
    if wanted is None:
        use.hold("training.replay")
    elif not isinstance(spec.objective, SFT):
        use.refuse("training.replay", _IMITATION)
    elif wanted.source == "self" and not writes:
        use.refuse("training.replay", _SELF)
    else:
        use.hold("training.replay")
        if data.replayed:
            use.note(_mixed(data))


def _mixed(data: Profile) -> Change:
    return Change(
        field="training.replay",
        outcome="adapted",
        asked="general",
        used=f"{data.replayed} rows",
        reason=f"general chats, spread among {data.rows - data.replayed} rows of yours",
    )
