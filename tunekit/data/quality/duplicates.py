"""Rows that stand in the data twice, exactly or almost."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from tunekit.data.issues import Issue
from tunekit.data.near import Near, normalised
from tunekit.data.rows import Judged, Preference, Row
from tunekit.data.words import answered, asked, own, plain


def key(row: Row) -> str:
    """Give what makes two rows the same: all they say, without differences of case and blanks."""
    more = plain(row.rejected) if isinstance(row, Preference) else ""
    verdict = str(row.label) if isinstance(row, Judged) else ""
    return "\0".join(map(normalised, (asked(row), answered(row), more, verdict)))


class Duplicates:
    """Finds copies and near copies; the first of them is never named as one."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._near = Near()
        self._files: list[str] = []
        self._file = array("I")
        self._line = array("Q")
        self._kept = array("I")

    def add(self, row: Row) -> Iterator[Issue]:
        """Name the first of the same rows, if this is not it."""
        index = len(self._line)
        self._remember(row)
        first = self._first.setdefault(hash(key(row)), index)
        if first != index:
            yield Issue(
                code="duplicate-row",
                severity="warning",
                file=row.where.file,
                line=row.where.line,
                message=f"the row says the same as {self._place(first)}",
                fix="delete it, or leave out all copies: data: {drop: [duplicate-row]}",
            )
            return
        self._near.add(own(row))
        self._kept.append(index)

    def close(self) -> Iterator[Issue]:
        """Name for each near copy the row that it is nearest to."""
        # The search needs the room: of a gigabyte of chats these are a million.
        self._first.clear()
        for later, (earlier, similarity) in sorted(self._near.pairs().items()):
            index = self._kept[later]
            yield Issue(
                code="near-duplicate",
                severity="warning",
                file=self._files[self._file[index]],
                line=self._line[index],
                message=f"{similarity:.0%} of the row stands in "
                f"{self._place(self._kept[earlier])} too",
                fix="keep one of them, or leave out all later ones: data: {drop: [near-duplicate]}",
            )

    def _remember(self, row: Row) -> None:
        if not self._files or self._files[-1] != row.where.file:
            self._files.append(row.where.file)
        self._file.append(len(self._files) - 1)
        self._line.append(row.where.line)

    def _place(self, index: int) -> str:
        return f"{self._files[self._file[index]]}:{self._line[index]}"
