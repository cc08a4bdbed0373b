"""`extra["fireworks"]`: settings in Fireworks' own words, put over ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tunekit.backends.managed import require_no_secrets
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change

_REFUSED = {
    "batchSize": "counts tokens, and Fireworks rejects it; set training.batch_size",
    "gradientAccumulationSteps": "Fireworks rejects it; training.batch_size is the whole batch",
    "earlyStop": "Fireworks rejects it",
    "jinjaTemplate": "Fireworks rejects it; the template is that of the model",
    "dataset": "the rows are those of data",
    "evaluationDataset": "the rows are those of validation",
}
_WHOLE = frozenset({"lrScheduler"})
"""One of several keys: ours would stand beside the one that is wished for."""


def merge(use: Ledger, body: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Put native settings over the body of a job, part by part.

    Raises:
        SpecError: one is a key.
    """
    require_no_secrets(extra, backend="fireworks", instead="it is taken from WANDB_API_KEY")
    _merge(use, body, extra, "extra.fireworks")
    for part in (body, body.get("trainingConfig")):
        if isinstance(part, dict) and part.get("warmStartFrom"):
            # It brings its own base.
            cast("dict[str, Any]", part).pop("baseModel", None)


def _merge(use: Ledger, body: dict[str, Any], extra: Mapping[str, Any], place: str) -> None:
    for name, value in extra.items():
        current = body.get(name)
        if name in _REFUSED:
            use.note(
                Change(
                    field=f"{place}.{name}",
                    outcome="unsupported",
                    asked=value,
                    reason=_REFUSED[name],
                )
            )
        elif isinstance(value, Mapping) and isinstance(current, dict) and name not in _WHOLE:
            inner = cast("Mapping[str, Any]", value)
            _merge(use, cast("dict[str, Any]", current), inner, f"{place}.{name}")
        else:
            body[name] = value
