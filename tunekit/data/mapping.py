"""Columns under other names than a format reads, renamed as the spec says."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.json_text import as_object
from tunekit.data.rows import Where

Raw = dict[str, Any]

_ABSENT = object()


def rows(
    found: Iterator[tuple[Raw, Where]], names: Mapping[str, str], issues: list[Issue]
) -> Iterator[tuple[Raw, Where]]:
    """Give the rows with every mapped column under the name that the format reads.

    The other columns stay as they are; a column that is missing is an issue, null is not.
    """
    for raw, where in found:
        mapped = {name: _value(raw, path) for name, path in names.items()}
        missing = [names[name] for name, held in mapped.items() if held is _ABSENT]
        if missing:
            issues.append(_missing(missing[0], raw, where))
            continue
        taken = {path.partition(".")[0] for path in names.values()}
        kept = {key: held for key, held in raw.items() if key not in taken}
        yield {**kept, **mapped}, where


def _value(raw: Raw, path: str) -> Any:
    """Follow `a.b` into a nested column, unless a column has just that name."""
    if path in raw:
        return raw[path]
    held: Any = raw
    for part in path.split("."):
        inner = as_object(held)
        if inner is None or part not in inner:
            return _ABSENT
        held = inner[part]
    return held


def _missing(path: str, raw: Raw, where: Where) -> Issue:
    close = difflib.get_close_matches(path, raw, n=1)
    present = ", ".join(map(str, raw)) or "(none)"
    return Issue(
        code="missing-column",
        file=where.file,
        line=where.line,
        message=f"data.mapping names the column {path!r}; the row has {present}",
        fix=f"did you mean {close[0]!r}?"
        if close
        else "name a column that every row has; "
        'the mapping is written {"prompt": "the name in your file"}',
    )
