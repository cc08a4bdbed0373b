"""What a job at Together said since it was last looked at, in one order for every reader."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tunekit.backends.together import said
from tunekit.backends.together.job import STATES
from tunekit.events import (
    CheckpointEvent,
    Event,
    JobState,
    LogEvent,
    MetricsEvent,
    StateEvent,
)

_STATE: Mapping[str, str] = {
    "job_pending": "pending",
    "job_start": "running",
    "job_restarted": "running",
    "model_compressing": "compressing",
    "model_uploading": "uploading",
    "cancel_requested": "cancel_requested",
    "job_stopped": "cancelled",
    "job_complete": "completed",
    "job_error": "error",
    "job_user_error": "user_error",
}
"""The state that an event tells of: states that nobody saw pass are in the events all the same."""
_AFTER = frozenset(
    {
        *("training_complete", "model_compressing", "model_compression_complete"),
        *("model_uploading", "model_upload_complete", "job_complete", "job_error"),
        *("job_user_error", "job_stopped"),
    }
)
"""Events after which no step is made."""
_LAST_LINES = 20

Key = tuple[float, int, int]
"""Step; metrics before events; number."""


@dataclass(frozen=True)
class Cursor:
    """How much was read: events by their count, metrics by their step."""

    events: int = 0
    train: int = -1
    evaluated: int = -1
    ended: int = 0
    """1 when an end was told of that is not among the events."""

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Take up a cursor; one that says nothing is the beginning."""
        try:
            found: Any = json.loads(text or "[]")
        except ValueError:
            found = []
        numbers = said.anything(found)
        sound = len(numbers) == 4 and all(type(number) is int for number in numbers)
        return cls(*numbers) if sound else cls()

    def __str__(self) -> str:
        return json.dumps([self.events, self.train, self.evaluated, self.ended])


def since(
    cursor: Cursor, told: Sequence[said.Told], metrics: Sequence[said.Told], *, status: str
) -> tuple[tuple[Event, ...], Cursor]:
    """Give what is new, and the cursor after it.

    Args:
        cursor: where the reader stands.
        told: all events of the job.
        metrics: its metrics, from the reader's step on at least.
        status: Together's word for the job's state, read before the others.
    """
    told = in_order(told)
    keys = _keys(told)
    keyed = list(_told(told, keys, cursor.events))
    after = replace(cursor, events=max(cursor.events, len(told)))
    if not cursor.ended and (end := _ending(told, status)):
        keyed.append(((math.inf, 2, 0), end))
        after = replace(after, ended=1)
    measured = list(_measured(metrics, total=_total(told) if cursor.train < 0 else 0))
    for event in measured:
        evaluated = event.id.startswith("eval")
        if event.step > (cursor.evaluated if evaluated else cursor.train):
            key = (event.step, 0, int(evaluated))
            keyed.append((key, event.model_copy(update={"time": _time(told, keys, key)})))
            name = "evaluated" if evaluated else "train"
            after = replace(after, **{name: max(event.step, getattr(after, name))})
    keyed.sort(key=lambda item: item[0])
    return tuple(event for _, event in keyed), after


def in_order(told: Sequence[said.Told]) -> list[said.Told]:
    """Give events the oldest first, whichever way they are listed."""
    listed = list(told)
    if len(listed) > 1:
        first, last = (said.seconds(listed[index], "created_at") for index in (0, -1))
        if first > last:
            listed.reverse()
    return listed


def reason(told: Sequence[said.Told], status: str) -> str:
    """Say why a job failed, in Together's words."""
    for event in reversed(in_order(told)):
        failed = "error" in said.text(event, "level") or _kind(event).endswith("_error")
        if (failed or _kind(event) == "billing_limit") and said.text(event, "message"):
            return said.text(event, "message")
    return f"Together says {status!r}, and gives no reason"


def log(told: Sequence[said.Told]) -> str:
    """Give the last lines that the job wrote."""
    return "\n".join(said.text(event, "message") for event in in_order(told)[-_LAST_LINES:])


def _keys(told: Sequence[said.Told]) -> list[Key]:
    """Give the place of each event; a later one is never put before an earlier one."""
    keys, step = list[Key](), 0.0
    for index, event in enumerate(told):
        own = math.inf if _kind(event) in _AFTER else said.number(event, "step") or 0
        step = max(step, own)
        keys.append((step, 1, 2 * index))
    return keys


def _told(
    told: Sequence[said.Told], keys: Sequence[Key], start: int
) -> Iterator[tuple[Key, Event]]:
    state = ""
    for index, event in enumerate(told):
        word = _STATE.get(_kind(event), "")
        if index >= start:
            step, rank, number = keys[index]
            made = _events(event, index, word if word != state else "")
            yield from (((step, rank, number + more), one) for more, one in enumerate(made))
        state = word or state


def _time(told: Sequence[said.Told], keys: Sequence[Key], key: Key) -> float:
    """Give the time of the last event before a step; Together tells none of the step itself."""
    before = bisect_left(keys, key)
    return said.seconds(told[before - 1], "created_at") if before else 0.0


def _total(told: Sequence[said.Told]) -> int:
    """Give the steps that the job will make, 0 while nobody has said."""
    found = (said.number(event, "total_steps") for event in told)
    return int(next((total for total in found if total), 0))


def _events(event: said.Told, index: int, word: str) -> Iterator[Event]:
    time, step = said.seconds(event, "created_at"), int(said.number(event, "step") or 0)
    message = said.text(event, "message") or _kind(event)
    if _kind(event) == "checkpoint_save":
        place = said.text(event, "checkpoint_path")
        yield CheckpointEvent(id=f"event/{index}", time=time, step=step, path=place)
    else:
        yield LogEvent(id=f"event/{index}", time=time, message=message, level=_level(event))
    if word:
        state = STATES[word]
        why = message if state is JobState.FAILED else ""
        yield StateEvent(id=f"state/{index}", time=time, state=state, native=word, reason=why)


def _ending(told: Sequence[said.Told], status: str) -> StateEvent | None:
    """Give an end that no event tells of."""
    state = STATES.get(status, JobState.RUNNING)
    heard = {STATES[_STATE[_kind(event)]] for event in told if _kind(event) in _STATE}
    if not state.terminal or state in heard:
        return None
    return StateEvent(id=f"state/{status}", state=state, native=status)


def _measured(metrics: Sequence[said.Told], *, total: int) -> Iterator[MetricsEvent]:
    """Give each step once: a job that was restarted makes some twice.

    The first one names all the steps there will be, as TRL's does.
    """
    seen: set[str] = set()
    for told in sorted(metrics, key=_step):
        for side in ("train", "eval"):
            name, numbers = f"{side}/{_step(told)}", _numbers(told, f"{side}/")
            if _step(told) < 0 or not numbers or name in seen:
                continue
            if total and not seen:
                numbers["max_steps"] = float(total)
            seen.add(name)
            yield MetricsEvent(id=name, step=_step(told), metrics=numbers)


def _step(told: said.Told) -> int:
    """Give the step that metrics belong to, -1 where they do not say."""
    found = next((said.number(told, name) for name in told if name.endswith("global_step")), None)
    return int(found) if found is not None and math.isfinite(found) else -1


def _numbers(told: said.Told, side: str) -> dict[str, float]:
    """Give finite numbers under TRL's names."""
    start = "eval_" if side == "eval/" else ""
    found = {name: said.number(told, name) for name in told if name.startswith(side)}
    return {
        start + name.removeprefix(side): float(value)
        for name, value in found.items()
        if value is not None and math.isfinite(value) and not name.endswith("step")
    }


def _kind(event: said.Told) -> str:
    return said.text(event, "type").lower()


def _level(event: said.Told) -> Literal["info", "warning", "error"]:
    level = said.text(event, "level")
    if "error" in level or _kind(event).endswith("_error"):
        return "error"
    return "warning" if "warning" in level or _kind(event) == "warning" else "info"
