"""Whether training rows were learnt by heart: losses side by side, and answers said word for word.

An answer counts as said by heart when, after its first quarter, the likeliest token is the right
one for up to 50 tokens on end: exactly then a greedy decoder would write it. So one pass over the
rows tells, and nothing need be generated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tunekit.evaluation.forward import Scored
from tunekit.evaluation.verdict import Overfitting, Status

PROBED = 50
"""Training rows that are looked at, at most."""
_HINT = 0.25
"""Share of an answer that the model is given."""
_LONGEST, _SHORTEST = 50, 8
"""Tokens that must be right; of answers with fewer left, nothing can be said."""
_RECITED: tuple[float, float] = (0.2, 0.5)
"""Share by heart among training rows beyond that among held-out rows: warn, fail."""
_GAP: tuple[tuple[float, float], tuple[float, float]] = ((0.3, 0.1), (1.0, 0.5))
"""Gap of the losses, relative to the training loss and in nats per token, both: warn, fail."""
_RISEN = 1.02
"""Held-out loss at the end over the lowest one during training."""


def overfitted(
    train: Sequence[Scored],
    held_out: Sequence[Scored],
    *,
    private: Sequence[int] = (),
    curve: Sequence[float] = (),
) -> Overfitting | None:
    """Judge what the tuned model makes of training rows and of held-out rows.

    Args:
        train: A sample of training rows, scored by the tuned model.
        held_out: Held-out rows, scored by the tuned model.
        private: Which of `train` hold secrets or personal data.
        curve: Held-out loss during training, in order.
    """
    losses = [_loss(side) for side in (train, held_out)]
    if losses[0] is None or losses[1] is None:
        return None
    by_heart, unseen = share(train), share(held_out)
    leaked = sum(recited(train[row]) is True for row in private)
    gap = losses[1] - losses[0]
    risen = len(curve) > 1 and curve[-1] > _RISEN * min(curve)
    grades = [
        _grade(by_heart - unseen, _RECITED),
        2 if leaked else 0,
        sum(gap > part * losses[0] and gap > nats for part, nats in _GAP),
        1 if risen else 0,
    ]
    status: Status = ("pass", "warn", "fail")[max(grades)]
    return Overfitting(
        train_loss=losses[0],
        held_out_loss=losses[1],
        verbatim_train=by_heart,
        verbatim_held_out=unseen,
        probed=len(train),
        status=status,
        advice=tuple(_advice(leaked, risen=risen)) if status != "pass" else (),
    )


def share(rows: Sequence[Scored]) -> float:
    """Give the share of answers said by heart, of those long enough to tell."""
    found = [said for row in rows if (said := recited(row)) is not None]
    return sum(found) / len(found) if found else 0.0


def recited(row: Scored) -> bool | None:
    """Say whether an answer is said word for word; None when it is too short to tell."""
    start = math.ceil(_HINT * len(row.right))
    probed = row.right[start : start + _LONGEST]
    return all(probed) if len(probed) >= _SHORTEST else None


def _loss(rows: Sequence[Scored]) -> float | None:
    count = sum(row.count for row in rows)
    loss = math.fsum(row.total for row in rows) / count if count else math.nan
    return loss if math.isfinite(loss) else None


def _grade(value: float, limits: tuple[float, float]) -> int:
    return sum(value > limit for limit in limits)


def _advice(leaked: int, *, risen: bool) -> list[str]:
    said: list[str] = []
    if leaked:
        said.append(
            f"{leaked} rows with secrets or personal data are said word for word: take these out "
            "(data: {drop: [secret, personal-data]}) and train again"
        )
    if risen:
        said.append("training.early_stopping: 2 keeps the checkpoint with the lowest loss")
    said.append("training.epochs: fewer; or more rows, or fewer copies of each")
    said.append("method.dropout: 0.05 and training.weight_decay: 0.01 hold rows apart")
    return said
