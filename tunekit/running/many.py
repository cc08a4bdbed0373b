"""Several fine-tunes of one base in one process, each step computed for all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from tunekit.backends import registry
from tunekit.backends.local.alike import require_alike
from tunekit.backends.local.parent import Local
from tunekit.errors import RunTimeout, SpecError, UnsupportedError
from tunekit.events import Event, MetricsEvent
from tunekit.printable import printable
from tunekit.running import submission
from tunekit.running.pace import Pace
from tunekit.running.run import Run
from tunekit.running.show import still_going
from tunekit.running.start import AnyBackend, planned
from tunekit.running.stream import EventStream
from tunekit.spec.document import Document, load
from tunekit.spec.finetune import FineTune

AnySpec = FineTune | Document | str | PathLike[str]


def run_many(
    specs: Sequence[AnySpec],
    backend: AnyBackend | None = None,
    *,
    strict: bool = True,
    progress: bool | None = None,
    on_event: Callable[[Run, Event], object] | None = None,
    timeout: float | None = None,
) -> list[Run]:
    """Train adapters over one base at once on this machine, and return when all are over.

    Each becomes a run of its own, equal to what `run` makes of its spec alone; they are given in
    the order of the specs. One that fails ends alone: its `state` and `reason` say so, and nothing
    is raised. A spec may be a file; without `backend`, the one that the files name is taken.
    `on_event` gets each event with its run; `progress=False` is silent.

    Raises:
        SpecError: a spec or its data are wrong on every backend, or there is none.
        UnsupportedError: they cannot be trained at once: another model, dtype or method than LoRA
            and QLoRA, an objective without log-probabilities, or another backend than local.
        RunTimeout: `timeout` seconds have passed; the jobs go on.
    """
    started = submit_many(specs, backend, strict=strict)
    watch = _Watch(started, on_event=on_event, silent=progress is False)
    try:
        watch.wait(timeout)
    except KeyboardInterrupt:
        going = [still_going(run.id) for run in started if not run.state.terminal]
        raise KeyboardInterrupt("\n".join(going)) from None
    return started


def submit_many(
    specs: Sequence[AnySpec], backend: AnyBackend | None = None, *, strict: bool = True
) -> list[Run]:
    """Start what `run_many` waits for; nothing is started unless all of it can be.

    Raises:
        SpecError: a spec or its data are wrong on every backend, or there is none.
        UnsupportedError: they cannot be trained at once.
    """
    read, chosen = _read(specs, backend)
    made = [planned(spec, chosen) for spec in read]
    for _, _, plan in made:
        plan.require(strict=strict)
    require_alike([plan for _, _, plan in made])
    folders = [
        submission.record(spec, plan, chosen, prepared)
        for spec, (_, prepared, plan) in zip(read, made, strict=True)
    ]
    submission.all_at_once(folders, chosen)
    return [Run(folder) for folder in folders]


def _read(specs: Sequence[AnySpec], backend: AnyBackend | None) -> tuple[list[FineTune], Local]:
    """Give the specs and the backend that they share."""
    if not specs:
        raise SpecError("specs: there is none; give a list of at least one")
    read = [spec if isinstance(spec, FineTune | Document) else load(spec) for spec in specs]
    named = [each.backend for each in read if isinstance(each, Document)]
    if backend is None and any(other != named[0] for other in named):
        raise SpecError("specs: their files name different backends; give backend=")
    wanted = backend if backend is not None else (named or ["local"])[0]
    chosen = registry.resolve(wanted)
    if not isinstance(chosen, Local):
        raise UnsupportedError(
            f"{chosen.name} trains each adapter by itself; several at once are trained on this "
            "machine only: backend: local, or tunekit.submit for each",
            backend=chosen.name,
        )
    only = [each.spec if isinstance(each, Document) else each for each in read]
    _require_places(only)
    return only, chosen


def _require_places(specs: Sequence[FineTune]) -> None:
    """See that no two results want the same folder."""
    taken: dict[Path, int] = {}
    for number, spec in enumerate(specs):
        if spec.output.folder is None:
            continue
        place = Path(spec.output.folder).expanduser().absolute()
        if place in taken:
            raise SpecError(
                f"specs[{number}].output.folder: {place} is that of specs[{taken[place]}] as well; "
                "name another"
            )
        taken[place] = number


class _Watch:
    """Looks at runs until all are over, and says how far they are."""

    _PAUSE = 0.2
    _PATIENCE = 10.0

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        on_event: Callable[[Run, Event], object] | None,
        silent: bool,
    ) -> None:
        self._runs, self._on_event, self._silent = runs, on_event, silent
        self._streams: list[EventStream] = [run.events(follow=False) for run in runs]
        self._paces = [Pace() for _ in runs]
        self._told: set[int] = set()
        self._last = time.monotonic()

    def wait(self, timeout: float | None) -> None:
        """Wait until all are over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self._say(f"{len(self._runs)} runs in one process")
        while not self._look():
            if deadline is not None and time.monotonic() >= deadline:
                going = [run.id for run in self._runs if not run.state.terminal]
                raise RunTimeout(
                    f"{', '.join(going)} still run; the jobs go on: `tunekit wait {going[0]}`",
                    run_id=going[0],
                )
            time.sleep(self._PAUSE)

    def _look(self) -> bool:
        """Pass on what is new; says whether all are over."""
        for number, run in enumerate(self._runs):
            run.refresh()
            for event in self._streams[number]:
                if isinstance(event, MetricsEvent):
                    self._paces[number].add(event)
                if self._on_event is not None:
                    self._on_event(run, event)
            if run.state.terminal and number not in self._told:
                self._told.add(number)
                reason = f": {run.reason}" if run.reason else ""
                self._say(f"{run.id} {run.state}{reason}")
        if time.monotonic() - self._last >= self._PATIENCE:
            self._last = time.monotonic()
            self._say(self._standing())
        return len(self._told) == len(self._runs)

    def _standing(self) -> str:
        """Say how far all are, by the steps of those that know how many there are."""
        known = [pace for pace in self._paces if pace.total]
        done, total = sum(pace.step for pace in known), sum(pace.total or 0 for pace in known)
        losses = [f"{pace.loss:.4f}" for pace in self._paces if pace.loss is not None]
        said = f"step {done}/{total} of all" if total else "not yet training"
        return f"{said}, losses {' '.join(losses)}" if losses else said

    def _say(self, text: str) -> None:
        if not self._silent:
            print(printable(text), file=sys.stderr, flush=True)  # noqa: T201
