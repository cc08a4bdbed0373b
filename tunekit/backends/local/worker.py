"""The worker: reads request.json, trains, and leaves weights, events and a result.

Flat, top to bottom. It shares a folder with its parent and nothing else, so `accelerate`,
torchrun, Ray or a cluster can start it unchanged: `python -m tunekit.backends.local.worker JOB`.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tunekit.backends.local.failure import Stopped, explain
from tunekit.backends.local.job import Job
from tunekit.backends.local.methods import noise
from tunekit.events import EvaluationEvent, JobState, LogEvent, StateEvent


def main(folder: Path) -> None:
    """Run one job to its end; whatever happens is in result.json."""
    job = Job(folder)
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        job.write("worker", {"pid": os.getpid(), "python": sys.executable})
    request = job.read("request") or {}
    result: dict[str, Any]
    try:
        with warnings.catch_warnings():
            # TRL and PEFT call what transformers has renamed; it is not for our users to mend.
            warnings.simplefilter("ignore", FutureWarning)
            noise.silence()
            (measure if "task" in request else train)(job, request, first=first)
        result = {"state": JobState.SUCCEEDED}
    except Stopped as stop:
        result = {"state": stop.state, "reason": stop.reason, "error": ""}
    except Exception as error:
        traceback.print_exc()
        reason, name = explain(error)
        result = {"state": JobState.FAILED, "reason": reason, "error": name}
    if first:
        job.emit(StateEvent(state=result["state"], reason=result.get("reason", "")))
        job.write("result", result)


def measure(job: Job, request: dict[str, Any], *, first: bool) -> None:
    """Measure what another job has trained; train nothing."""
    import torch

    from tunekit.backends.local.evaluate import evaluate
    from tunekit.backends.local.weaken import weaken

    if request["device"] == "cpu":
        torch.set_num_threads(request["threads"])
    task = weaken if request["task"] == "mitigate" else evaluate
    found = task(request, lambda line: job.emit(LogEvent(message=line)))
    job.emit(EvaluationEvent(result=found.model_dump(mode="json")))


def train(job: Job, request: dict[str, Any], *, first: bool) -> None:
    """Load, measure, train, measure, save."""
    if request["engine"] == "unsloth":
        # Unsloth patches transformers, TRL and PEFT, so it comes before them.
        import_module("unsloth")
    import torch

    from tunekit.backends.local import models, own_answers, sweep, trainers
    from tunekit.backends.local.columns import functions
    from tunekit.backends.local.evaluator import Evaluator
    from tunekit.backends.local.methods import attach
    from tunekit.backends.local.rows import tokenized

    if request["device"] == "cpu":
        torch.set_num_threads(request["threads"])

    functions(request)  # before anything that takes long: they are the user's own

    def say(message: str) -> None:
        if first:
            job.emit(LogEvent(message=message))

    sweep.decide(job, request, say)
    say(f"loading {request['model']['source']}")
    model, tokenizer = models.load(request)
    for line in models.fit(request, model):
        say(line)
    data = tokenized(Path(request["train"]), request, tokenizer)
    if "replay" in request:
        data = own_answers.mixed(data, model, tokenizer, **request["replay"])
    for line in data.notes:
        say(line)
    evaluator = Evaluator.read(request, tokenizer) if first else None

    trainer = trainers.build(job, request, model, tokenizer, data)
    if first:
        job.emit(StateEvent(state=JobState.RUNNING))
    if evaluator and evaluator.enabled:
        say("measuring the base")
        with attach.of(trainer).as_base():
            evaluator.base(trainers.inner(trainer))
    curve = trainers.watch(job, request, trainer, evaluator)

    _go_on(trainer, job, say)

    if not first:
        return
    curve.restore(trainers.inner(trainer))
    trainers.save(trainer, tokenizer, request, job.adapter)
    if evaluator and evaluator.enabled:
        say("measuring the tuned model")
        found = evaluator.tuned(trainers.inner(trainer), job.adapter, curve=curve.losses)
        job.emit(EvaluationEvent(result=found.model_dump(mode="json")))


def _go_on(trainer: Any, job: Job, say: Callable[[str], None]) -> None:
    """Train, from the newest good checkpoint on where there is one."""
    from tunekit.backends.local import checkpoints, trainers

    checkpoint = checkpoints.newest(job.checkpoints)
    if checkpoint is None:
        trainer.train()
    elif checkpoints.step(checkpoint) >= trainers.total_steps(trainer):
        say(f"all steps are done in {checkpoint.name}; nothing is trained again")
        trainers.load_weights(trainer, checkpoint)
    else:
        say(f"resuming from {checkpoint.name}")
        trainer.train(resume_from_checkpoint=str(checkpoint))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
