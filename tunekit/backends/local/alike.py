"""Whether several plans can be carried out by one process, over one base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunekit.backends.local.peft_arguments.low_rank import CONVERTED
from tunekit.errors import UnsupportedError
from tunekit.planning.plan import Plan

_ALONE = "train it alone, with tunekit.run"


def require_alike(plans: Sequence[Plan]) -> None:
    """See that plans of this machine can be carried out together.

    Raises:
        UnsupportedError: one cannot; the text says which, counted from 0, and why.
    """
    for number, plan in enumerate(plans):
        if why := _obstacle(plan) or _difference(plans[0], plan):
            raise UnsupportedError(f"specs[{number}].{why}", backend="local", plan=plan)


def _obstacle(plan: Plan) -> str:
    """Say why a plan cannot share a base with others, "" where nothing speaks against it."""
    request = plan.request
    if request["kernels"] == "reference":
        return f"{_passes(plan)}; {_ALONE}"
    if "sweep" in request:
        return (
            "training.learning_rate: a sweep trains a model of its own for each rate; "
            f"write a rate, or {_ALONE}"
        )
    own: dict[str, Any] = request.get("method") or {}
    init = own.get("init")
    if init in CONVERTED:
        return f"method.init: {init} changes the base, which the others share; {_ALONE}"
    if request["devices"] > 1:
        return "backend.devices: several adapters are trained at once on one device; devices: 1"
    return ""


def _passes(plan: Plan) -> str:
    """Name the field that keeps our passes from a plan, with the reason."""
    change = next(change for change in plan.changes if change.field == "backend.kernels")
    if change.asked == "reference":
        return "backend.kernels: reference trains one adapter at a time; leave kernels at auto"
    return f"method: several adapters are trained at once by our passes only, and {change.reason}"


def _difference(first: Plan, plan: Plan) -> str:
    """Say in what a plan's base is another than the first's."""
    ours, theirs = first.request["model"], plan.request["model"]
    for name, field in _FIELDS.items():
        if ours[name] != theirs[name]:
            return (
                f"{field}: {_word(theirs[name])}, and specs[0] has {_word(ours[name])}; "
                "adapters that are trained at once share one base"
            )
    return ""


def _word(value: Any) -> Any:
    """Write a setting of the base for people."""
    if isinstance(value, dict):
        return "a quantised base"
    return "a base that is not quantised" if value is None else value


_FIELDS = {
    "source": "model",
    "quantization": "method",
    "dtype": "training.dtype",
    "autocast": "training.dtype",
}
"""What a request says of its base, and the field of the spec that decides it."""
