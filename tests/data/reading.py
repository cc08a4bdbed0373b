"""Shared by the tests of reading: good lines, and what a source gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunekit.data.issues import Issue
from tunekit.data.prepare import Prepared, prepare
from tunekit.data.recognise import recognise
from tunekit.data.rows import Row, Where
from tunekit.errors import DataError
from tunekit.spec.finetune import Data, FineTune, Severity

TINY: dict[str, Severity] = {"few-rows": "off", "duplicate-row": "off"}
"""Findings that a file of two equal rows would always have."""
GOOD = b'{"prompt": "2+2", "completion": "4"}\n'


def specified(data: Any, **settings: Any) -> FineTune:
    source = str(data) if isinstance(data, Path) else data
    if isinstance(source, (str, list)) and source:
        source = Data(source=source, checks=TINY)
    return FineTune(model="somewhere/model", data=source, **settings)


def prepared(data: Any, **settings: Any) -> Prepared:
    return prepare(specified(data, **settings))


def issues_of(data: Any, **settings: Any) -> tuple[Issue, ...]:
    """Give the issues that stop a source, or else its warnings."""
    try:
        return prepared(data, **settings).profile.issues
    except DataError as error:
        return error.issues


def read(*raws: dict[str, Any], wanted: str = "auto") -> tuple[str, list[Row], list[Issue]]:
    """Recognise rows in memory."""
    issues: list[Issue] = []
    places = [(raw, Where(file="rows", line=line)) for line, raw in enumerate(raws, start=1)]
    found = recognise(places, issues, wanted=wanted)
    return found.format, found.rows, issues


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
