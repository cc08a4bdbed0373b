"""Replay in a plan: mixed in here, by the worker, or not at all."""

from __future__ import annotations

from tunekit.data.profile import Profile
from tunekit.data.replay import count
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.objectives import SFT

_IMITATION = "chats are mixed in where answers are imitated: objective sft"
_SELF = "the base writes these answers, and here nobody runs it before the training; take general"

LONGEST = 96
"""Tokens of an answer that the base writes, at most; a plan takes them for all of its row."""


def with_answers(spec: FineTune, data: Profile) -> Profile:
    """Count the rows that the base will write as well, which nobody has read yet."""
    more = _written(spec, data)
    return data.model_copy(
        update={
            "rows": data.rows + more,
            "tokens": data.tokens + more * LONGEST,
            "trained_tokens": data.trained_tokens + more * LONGEST,
        }
    )


def _written(spec: FineTune, data: Profile) -> int:
    """Count the rows that the base writes itself."""
    wanted = spec.training.replay
    if wanted is None or wanted.source != "self" or not isinstance(spec.objective, SFT):
        return 0
    return count(data.rows, wanted.ratio)


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
        own, written = data.rows - data.replayed, _written(spec, data)
        what = "answers of the base, written before the training" if written else "general chats"
        if more := written or data.replayed:
            use.note(_mixed(wanted.source, more, f"{what}, spread among {own} rows of yours"))


def _mixed(source: str, rows: int, reason: str) -> Change:
    return Change(
        field="training.replay",
        outcome="adapted",
        asked=source,
        used=f"{rows} rows",
        reason=reason,
    )
