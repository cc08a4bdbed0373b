"""Rows as Fireworks reads them: chats and single questions with two answers, with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunekit.data.issues import Fault
from tunekit.data.native import TARGETS
from tunekit.data.rows import Conversation, Preference, Row, weight


def native(row: Row, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Give a row in Fireworks' form.

    Args:
        row: a chat, a prompt with its completion, or a pair.
        wanted: `train_on`, and whether the rows are weighed.

    Raises:
        Fault: Fireworks has no form for it.
    """
    if isinstance(row, Preference):
        _require_single_turn(row)
        return TARGETS["fireworks"](row)
    written = TARGETS["fireworks"](row)
    if isinstance(row, Conversation) and wanted.get("train_on") == "completion":
        _last_only(written["messages"])
    # On all rows or on none, Fireworks says.
    written.pop("weight", None)
    if wanted.get("weighted"):
        written["weight"] = weight(row)
    return written


def _last_only(messages: Sequence[dict[str, Any]]) -> None:
    """Keep every assistant turn but the last as context only."""
    answers = [message for message in messages if message["role"] == "assistant"]
    for message in answers[:-1]:
        message["weight"] = 0


def _require_single_turn(row: Preference) -> None:
    if isinstance(row.prompt, str):
        return
    turns = [message.role for message in row.prompt if message.role != "system"]
    if turns != ["user"]:
        raise Fault(
            "not-expressible",
            f"a prompt of {len(turns)} turns; Fireworks trains on pairs of a single question",
            "leave the row out, or train on it locally or at Together",
        )
