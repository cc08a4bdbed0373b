"""Feed the trackers of a run with what it says, from whichever process waits for it."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator

from tunekit.errors import TunekitError
from tunekit.evaluation.compare import Comparison
from tunekit.events import EvaluationEvent, Event, MetricsEvent
from tunekit.files import Locked, locked
from tunekit.report.settings import settings
from tunekit.store import Record, RunFolder, Tracking
from tunekit.trackers import registry
from tunekit.trackers.tracker import Followed, Tracker


class Trackers:
    """The trackers of one run in this process.

    One process at a time feeds them; when it is gone, the next one goes on behind the last event
    that was sent, in the same run of the tracker.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._open: dict[str, Tracker] = {}
        self._given_up: set[str] = set()
        self._lock: contextlib.ExitStack | None = None

    def feed(self, record: Record) -> None:
        """Send what is new; a tracker that fails is warned about once and left out from then on."""
        if not self._waiting(record) or not self._ours():
            return
        entry = self._folder.read()
        for name in self._waiting(entry):
            self._send(name, entry)
        if entry.state.terminal:
            self._release()

    def _waiting(self, record: Record) -> list[str]:
        return [
            name
            for name, mark in record.trackers.items()
            if name not in self._given_up and _behind(mark, record)
        ]

    def close(self, record: Record) -> None:
        """Stop watching a run that goes on."""
        for name in list(self._open):
            try:
                self._open.pop(name).end(record.state)
            except Exception as error:
                # As in `_send`.
                self._give_up(name, error)
        self._release()

    def _send(self, name: str, entry: Record) -> None:
        """Send what is new to one tracker, and keep how far it got."""
        mark = entry.trackers[name]
        try:
            for further in self._sent(name, mark, entry):
                mark = further
        except Exception as error:
            # Whatever a tracker raises: none may stop a run.
            self._give_up(name, error)
        self._keep(name, mark)

    def _sent(self, name: str, mark: Tracking, entry: Record) -> Iterator[Tracking]:
        tracker = self._open.get(name)
        if tracker is None:
            tracker = registry.make(name)
            resume = tracker.start(self._followed(entry, mark))
            self._open[name] = tracker
            yield (mark := mark.model_copy(update={"resume": resume}))
        for event, position in self._folder.events(mark.sent):
            if position > entry.events_bytes:
                break
            step = max(mark.step, event.step) if isinstance(event, MetricsEvent) else mark.step
            if numbers := _numbers(event):
                at = event.step if isinstance(event, MetricsEvent) else step
                tracker.log(at, numbers, time=event.time)
            yield (mark := mark.model_copy(update={"sent": position, "step": step}))
        if entry.state.terminal:
            del self._open[name]
            tracker.end(entry.state)
            yield mark.model_copy(update={"ended": True})

    def _followed(self, entry: Record, mark: Tracking) -> Followed:
        return Followed(
            id=entry.id,
            name=entry.name or entry.id,
            folder=self._folder.path,
            settings=settings(entry),
            resume=mark.resume,
        )

    def _keep(self, name: str, mark: Tracking) -> None:
        with self._folder.refreshing() as entry:
            entry.trackers = {**entry.trackers, name: mark}

    def _give_up(self, name: str, error: Exception) -> None:
        self._given_up.add(name)
        self._open.pop(name, None)
        what = str(error) if isinstance(error, TunekitError) else repr(error)
        warnings.warn(
            f"{self._folder.id} is no longer followed by {name}: {what}; the run goes on",
            stacklevel=5,
        )

    def _ours(self) -> bool:
        """Be the process that feeds them, until the run is over or we stop watching."""
        if self._lock is None:
            lock = contextlib.ExitStack()
            try:
                lock.enter_context(locked(self._folder.path / ".track", timeout=0))
            except Locked:
                return False
            self._lock = lock
        return True

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def named(metric: str) -> str:
    """Give a metric's name as transformers' own trackers do: `train/loss`, `eval/loss`."""
    if metric.startswith("eval_"):
        return f"eval/{metric.removeprefix('eval_')}"
    return f"train/{metric}"


def _numbers(event: Event) -> dict[str, float]:
    """Give what a tracker is sent of an event."""
    if isinstance(event, EvaluationEvent):
        return _evaluated(Comparison.model_validate(event.result))
    if not isinstance(event, MetricsEvent):
        return {}
    return {
        named(name): value
        for name, value in event.metrics.items()
        if name != "max_steps" and math.isfinite(value)
    }


def _behind(mark: Tracking, record: Record) -> bool:
    return mark.sent < record.events_bytes or (record.state.terminal and not mark.ended)


def _evaluated(found: Comparison) -> dict[str, float]:
    """Give the figures before and after as numbers."""
    numbers: dict[str, float] = {}
    for side in ("base", "tuned"):
        loss = getattr(found, side).loss
        if loss is not None:
            numbers[f"evaluation/loss/{side}"] = loss
        numbers |= {
            f"evaluation/{name}/{side}": getattr(score, side)
            for name, score in found.scores.items()
        }
        numbers |= {
            f"evaluation/{each.name}/{side}": getattr(each, side) for each in found.differences
        }
    if found.forgetting is not None:
        numbers |= {f"forgetting/{each.name}": each.value for each in found.forgetting.signals}
    return numbers
