"""One training, from a loaded model to a saved result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.backends.local import checkpoints, models, own_answers, trainers
from tunekit.backends.local.evaluator import Evaluator
from tunekit.backends.local.fast.install import install
from tunekit.backends.local.heap import give_back
from tunekit.backends.local.job import Job
from tunekit.backends.local.methods import attach
from tunekit.backends.local.rows import tokenized
from tunekit.backends.local.shared_base import SharedBase
from tunekit.events import EvaluationEvent, JobState, LogEvent, StateEvent


@dataclass(frozen=True)
class Training:
    """A trainer that is ready, and what is measured before and after it."""

    job: Job
    request: dict[str, Any]
    tokenizer: Any
    trainer: Any
    evaluator: Evaluator | None
    first: bool = True
    """Of several processes, the one that speaks and saves."""

    @classmethod
    def prepare(
        cls,
        job: Job,
        request: dict[str, Any],
        model: Any,
        tokenizer: Any,
        *,
        first: bool = True,
        passes: Callable[[Any, dict[str, Any]], Iterable[str]] = install,
        shared: SharedBase | None = None,
    ) -> Training:
        """Tokenise the rows and build the trainer; other trainings may share the base."""

        def say(message: str) -> None:
            if first:
                job.emit(LogEvent(message=message))

        for line in models.fit(request, model):
            say(line)
        data = tokenized(Path(request["train"]), request, tokenizer)
        replay = request.get("replay")
        # General answers stand among the rows already.
        if replay and replay["source"] == "self":
            fast = request["kernels"] != "reference"
            ratio = replay["ratio"]
            data = own_answers.mixed(data, model, tokenizer, ratio=ratio, fast=fast)
        for line in data.notes:
            say(line)
        evaluator = Evaluator.read(request, tokenizer, shared=shared) if first else None
        trainer = trainers.build(job, request, model, tokenizer, data, passes=passes)
        return cls(job, request, tokenizer, trainer, evaluator, first)

    def carry_out(self) -> None:
        """Measure, train, save, measure."""
        trainer, evaluator = self.trainer, self.evaluator
        if self.first:
            self.job.emit(StateEvent(state=JobState.RUNNING))
        if evaluator and evaluator.enabled:
            self._say("measuring the base")
            with attach.of(trainer).as_base():
                evaluator.base(trainers.inner(trainer))
            give_back()
        curve = trainers.watch(self.job, self.request, trainer, evaluator)
        self._train()
        if not self.first:
            return
        curve.restore(trainers.inner(trainer))
        trainers.save(trainer, self.tokenizer, self.request, self.job.adapter)
        if evaluator and evaluator.enabled:
            give_back()
            self._say("measuring the tuned model")
            inner = trainers.inner(trainer)
            found = evaluator.tuned(inner, self.job.adapter, curve=curve.losses)
            self.job.emit(EvaluationEvent(result=found.model_dump(mode="json")))

    def _train(self) -> None:
        """Train, from the newest good checkpoint on where there is one."""
        checkpoint = checkpoints.newest(self.job.checkpoints)
        if checkpoint is None:
            self.trainer.train()
        elif checkpoints.step(checkpoint) >= trainers.total_steps(self.trainer):
            self._say(f"all steps are done in {checkpoint.name}; nothing is trained again")
            trainers.load_weights(self.trainer, checkpoint)
        else:
            self._say(f"resuming from {checkpoint.name}")
            self.trainer.train(resume_from_checkpoint=str(checkpoint))

    def _say(self, message: str) -> None:
        if self.first:
            self.job.emit(LogEvent(message=message))
