"""Rows as Together reads them, with the weights that say which turns count."""

from __future__ import annotations

from typing import Any

from tunekit.backends.together.objective import WEIGHTS
from tunekit.data.native import TARGETS
from tunekit.data.rows import Row
from tunekit.planning.plan import Plan

Native = dict[str, Any]


def native(row: Row, plan: Plan) -> Native:
    """Give a row in Together's form.

    Raises:
        Fault: there is no form for it.
    """
    written = TARGETS["together"](row)
    if "messages" not in written:
        return written
    messages: list[Native] = written["messages"]
    method = plan.request["training_method"]
    if method.get("train_on_inputs") is True:
        # Weights in the rows would go before it.
        return {**written, "messages": [_without_weight(message) for message in messages]}
    if plan.used("objective.train_on") == WEIGHTS:
        return {**written, "messages": _weighted(messages, last_only=True)}
    if any("weight" in message for message in messages):
        return {**written, "messages": _weighted(messages, last_only=False)}
    return written


def _weighted(messages: list[Native], *, last_only: bool) -> list[Native]:
    """Write a weight to every message: one that is left out might count."""
    answers = [
        index
        for index, message in enumerate(messages)
        if message["role"] == "assistant" and message.get("weight") != 0
    ]
    counted = set(answers[-1:] if last_only else answers)
    return [{**message, "weight": int(index in counted)} for index, message in enumerate(messages)]


def _without_weight(message: Native) -> Native:
    return {key: value for key, value in message.items() if key != "weight"}
