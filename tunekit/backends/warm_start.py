"""Where training starts, if not at the base: a job of the service, or an adapter here."""

from __future__ import annotations

from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change

FIELD = "start_from"


def job_of(use: Ledger, backend: str) -> str | None:
    """Take `start_from`, where it names something of this service; gives the name there.

    Anything else is refused: a service goes on from what it holds itself.
    """
    start: str | None = use.take(FIELD)
    if start is None:
        return None
    kind, _, name = start.partition(":")
    if kind == backend and name:
        return name
    refuse(
        use,
        f"{backend.title()} goes on from what was trained there: {backend}:JOB, or a run that was",
    )
    return None


def replaces_model(use: Ledger, start: str, service: str) -> None:
    """List that the model goes without saying: a start and a base exclude each other."""
    use.note(
        Change(
            field="model",
            outcome="adapted",
            asked=use.value("model"),
            used=start,
            reason=f"training goes on from there, and {service} knows what it was made of",
        )
    )


def refuse(use: Ledger, reason: str) -> None:
    """Say that training cannot start there."""
    use.refuse_value(FIELD, use.value(FIELD), reason)
