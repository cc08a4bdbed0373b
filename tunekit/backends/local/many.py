"""The worker of several jobs that train adapters on one base, in one process.

`python -m tunekit.backends.local.many [--locks FD,FD,...] JOB JOB ...`. Each job has its folder,
its request, its events and its result, as if it had a worker of its own, and may fail alone.
"""

from __future__ import annotations

import argparse
import copy
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tunekit.backends.local.job import Job
from tunekit.backends.local.methods import noise
from tunekit.backends.local.turns import Player, World
from tunekit.backends.local.worker import end, outcome
from tunekit.events import JobState, LogEvent

if TYPE_CHECKING:
    from tunekit.backends.local.reporter import Reporter
    from tunekit.backends.local.shared_base import SharedBase
    from tunekit.backends.local.training import Training


def main(folders: Sequence[Path], locks: Sequence[int | None] = ()) -> None:
    """Run jobs to their ends; `locks` are the descriptors that hold them, where they are ours."""
    held = locks or [None] * len(folders)
    tenants = [_Tenant(Job(path), lock) for path, lock in zip(folders, held, strict=True)]
    for tenant in tenants:
        # Shared: a signal would stop the others as well.
        worker = {"pid": os.getpid(), "python": sys.executable, "shared": True}
        tenant.job.write("worker", worker)
    with warnings.catch_warnings():
        # TRL and PEFT call what transformers has renamed; it is not for our users to mend.
        warnings.simplefilter("ignore", FutureWarning)
        noise.silence()
        _all_or_none(tenants, lambda: _prepare(tenants))
        ready = [tenant for tenant in tenants if not tenant.over]
        if ready:
            _all_or_none(ready, lambda: _mix(ready))


class _Tenant:
    """One job among those of the worker."""

    def __init__(self, job: Job, lock: int | None) -> None:
        self.job, self._lock = job, lock
        self.request: dict[str, Any] = job.read("request") or {}
        self.world = World()
        self.training: Training | None = None
        self.over = False

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do something for this job alone; where it fails the job is over."""
        result = outcome(work)
        if result["state"] is not JobState.SUCCEEDED:
            self.end(result)
        return not self.over

    def end(self, result: dict[str, Any]) -> None:
        """Leave the result, and let the job be taken up again by another worker."""
        if self.over:
            return
        self.over, self.training = True, None
        end(self.job, result)
        if self._lock is not None:
            os.close(self._lock)

    def prepare(self, model: Any, tokenizer: Any, shared: SharedBase) -> None:
        """Build the trainer, as far as it does not depend on the others."""
        from tunekit.backends.local.training import Training

        with self.world.entered():
            self.training = Training.prepare(
                self.job, self.request, model, tokenizer, passes=_later, shared=shared
            )
        for reporter in self._reporters():
            reporter.listens = False

    def run(self) -> None:
        """Train and measure; the whole of a player's part."""
        training = self.training
        if training is not None and self.attempt(training.carry_out):
            self.end({"state": JobState.SUCCEEDED})

    def say(self, message: str) -> None:
        """Write a line into the events of the job."""
        self.job.emit(LogEvent(message=message))

    def interrupt(self, name: str) -> None:
        """Stop after the step at hand."""
        for reporter in self._reporters():
            reporter.interrupt(name)

    def _reporters(self) -> list[Reporter]:
        from tunekit.backends.local.reporter import Reporter

        each = self.training.trainer.callback_handler.callbacks if self.training else ()
        return [one for one in each if isinstance(one, Reporter)]


def _all_or_none(tenants: Sequence[_Tenant], work: Callable[[], None]) -> None:
    """Do something for all; where it fails those that are left fail."""
    result = outcome(work)
    if result["state"] is not JobState.SUCCEEDED:
        for tenant in tenants:
            tenant.end(result)


def _prepare(tenants: Sequence[_Tenant]) -> None:
    """Load the base once, and build a trainer for each on a copy that holds the same weights."""
    import torch

    from tunekit.backends.local import models
    from tunekit.backends.local.shared_base import SharedBase

    request = tenants[0].request
    if request["device"] == "cpu":
        torch.set_num_threads(request["threads"])
    for tenant in tenants:
        tenant.say(f"loading {request['model']['source']}, for {len(tenants)} trainings")
    model, tokenizer = models.load(request)
    shared = SharedBase()
    held = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    for tenant in tenants:
        own = copy.deepcopy(model, dict(held))
        words = copy.deepcopy(tokenizer) if _changes_words(tenant.request) else tokenizer
        tenant.attempt(lambda t=tenant, m=own, w=words: t.prepare(m, w, shared))  # type: ignore[misc]


def _changes_words(request: dict[str, Any]) -> bool:
    """Say whether TRL is told to change the tokenizer of this training."""
    return not {"chat_template_path", "eos_token", "pad_token"}.isdisjoint(request["trainer"])


def _later(trainer: Any, request: dict[str, Any]) -> tuple[str, ...]:
    """Leave open who computes, until all trainers are there."""
    return ()


def _mix(tenants: Sequence[_Tenant]) -> None:
    """Train all, their steps mixed."""
    from tunekit.backends.local import trainers
    from tunekit.backends.local.fast.gathering import gather
    from tunekit.backends.local.fast.install import answer, mix
    from tunekit.backends.local.mixer import Mixer, Tenant

    own = [tenant.training.trainer for tenant in tenants if tenant.training is not None]
    models = [trainers.inner(trainer) for trainer in own]
    mixed, note = mix(models, [tenant.request for tenant in tenants])
    players = [Player(tenant.run, tenant.world) for tenant in tenants]
    for number, (tenant, trainer, player) in enumerate(zip(tenants, own, players, strict=True)):
        view = Tenant(mixed, number, player)
        answer(models[number], view)
        view.attach(trainer)
        gather(trainer, tenant.request)
        tenant.say(note)
    del own, models
    with _listening(tenants):
        Mixer(mixed, players).run()


@contextmanager
def _listening(tenants: Sequence[_Tenant]) -> Generator[None, None, None]:
    """Stop all after their steps at hand when SIGTERM comes; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        for tenant in tenants:
            tenant.interrupt(signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)

    previous = signal.signal(signal.SIGTERM, heard)
    try:
        yield
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, previous)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--locks", default="")
    parser.add_argument("jobs", nargs="+", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    main(given.jobs, [int(number) for number in given.locks.split(",") if number])
