"""The order of the turns in a chat."""

from __future__ import annotations

from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.rows import Conversation, Message, Row


class Roles:
    """Finds chats that a template may refuse."""

    def add(self, row: Row) -> Iterator[Issue]:
        """Look at the order of one chat."""
        if not isinstance(row, Conversation):
            return
        fault = _fault(row.messages)
        if fault:
            yield Issue(
                code="role-order",
                severity="warning",
                file=row.where.file,
                line=row.where.line,
                message=fault,
                fix="join the turns, or put them in order: system first, then user and assistant",
            )

    def close(self) -> Iterator[Issue]:
        """Add nothing."""
        yield from ()


def _fault(turns: tuple[Message, ...]) -> str:
    before = ""
    for index, turn in enumerate(turns):
        if turn.role == "system" and index:
            return f"messages[{index}] is a system turn behind the beginning"
        if turn.role == before and turn.role in ("user", "assistant"):
            return f"messages[{index}] is the second turn of the {turn.role} in a row"
        before = turn.role
    return ""
