"""The metrics file of a job: one JSON object a line, under names that become TRL's."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any, cast

from tunekit.backends.fireworks.account import Account
from tunekit.errors import BackendError
from tunekit.events import MetricsEvent

_TIMEOUT = 60.0
_MOST = sys.float_info.max
_SIDES = {"train": "", "eval": "eval_", "": ""}
_PAIRS = (
    *(f"rewards/{name}" for name in ("chosen", "rejected", "margins", "accuracies")),
    *(f"{name}/{side}" for name in ("logps", "logits") for side in ("chosen", "rejected")),
)
_NAMES = {
    **{name: name for name in ("loss", "learning_rate", "grad_norm", "epoch", "num_tokens")},
    **{name: name for name in ("entropy", "mean_token_accuracy", *_PAIRS)},
    "lr": "learning_rate",
    "total_tokens": "num_tokens",
}
"""From Fireworks' names, without `train/` or `eval/`; others are left out."""


def read(
    account: Account, name: str, job: Mapping[str, Any], cursor: str | None, *, over: bool
) -> tuple[tuple[MetricsEvent, ...], str]:
    """Give what the file says beyond the cursor, and the next cursor.

    A file that is not there yet, or cannot be read, says nothing: it never fails a poll.

    Args:
        account: whose job it is.
        name: the job's full name.
        job: as the service describes it.
        cursor: JSON, `{"lines": N}`: how many lines were read before.
        over: whether the file has reached its end.
    """
    start = int(json.loads(cursor)["lines"]) if cursor else 0
    content = b""
    with contextlib.suppress(BackendError):
        if url := _address(account, name, job):
            content = account.http.signed("GET", url, timeout=_TIMEOUT).body
    found, lines = events(content, start, over=over)
    return found, json.dumps({"lines": max(start, lines)})


def events(content: bytes, start: int, *, over: bool) -> tuple[tuple[MetricsEvent, ...], int]:
    """Give the events from a line on, and how many lines there are.

    A page that is no metrics file has none. A line that is still being written is left out.
    """
    lines = content.split(b"\n")
    if not (over and lines[-1]):
        lines = lines[:-1]
    rows = [_row(line) for line in lines]
    if not rows or rows[0] is None:
        return (), 0
    found = (_event(row, number) for number, row in enumerate(rows) if row and number >= start)
    return tuple(event for event in found if event is not None), len(rows)


def _address(account: Account, name: str, job: Mapping[str, Any]) -> str | None:
    url = job.get("metricsFileSignedUrl")
    if not url and "/dpoJobs/" in name:
        url = account.get(f"{name}:getMetricsFileEndpoint").get("signedUrl")
    return url if isinstance(url, str) and url else None


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", row) if isinstance(row, dict) else None


def _event(said: Mapping[str, Any], number: int) -> MetricsEvent | None:
    inner = said.get("data")
    values: Mapping[str, Any] = cast("dict[str, Any]", inner) if isinstance(inner, dict) else said
    step = said.get("step", values.get("train/step"))
    metrics = _metrics(values)
    if not metrics or not isinstance(step, int) or step < 0:
        return None
    time: Any = said.get("timestamp")
    return MetricsEvent(
        id=f"metrics-{number}",
        time=float(time) if _is_number(time) else 0.0,
        step=step,
        metrics=metrics,
    )


def _metrics(values: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in values.items():
        side, mark, rest = key.partition("/")
        if side not in _SIDES or not mark:
            side, rest = "", key
        name = _NAMES.get(rest)
        if name is not None and _is_number(value) and (side, name) != ("eval", "epoch"):
            found[_SIDES[side] + name] = float(value)
    return found


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and -_MOST < value < _MOST
