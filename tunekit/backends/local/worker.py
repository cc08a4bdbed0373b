"""The worker: reads request.json, trains, and leaves weights, events and a result.

Flat, top to bottom. It shares a folder with its parent and nothing else, so `accelerate`,
torchrun, Ray or a cluster can start it unchanged: `python -m tunekit.backends.local.worker JOB`.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from tunekit.backends.local.failure import Stopped, explain
from tunekit.backends.local.job import Job
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
            train(job, request, first=first)
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


def train(job: Job, request: dict[str, Any], *, first: bool) -> None:
    """Load, measure, train, measure, save."""
    if request["engine"] == "unsloth":
        # Unsloth patches transformers, TRL and PEFT, so it comes before them.
        import_module("unsloth")
    import torch

    from tunekit.backends.local import checkpoints, models, trainers
    from tunekit.backends.local.held_out import HeldOut
    from tunekit.backends.local.rows import tokenized
    from tunekit.evaluation.compare import compare

    if request["device"] == "cpu":
        torch.set_num_threads(request["threads"])

    def say(message: str) -> None:
        if first:
            job.emit(LogEvent(message=message))

    say(f"loading {request['model']['source']}")
    model, tokenizer = models.load(request)
    for line in models.fit(request, model):
        say(line)
    data = tokenized(Path(request["train"]), request, tokenizer)
    for line in data.notes:
        say(line)
    held_out = HeldOut.read(request, tokenizer)

    trainer = trainers.build(job, request, model, tokenizer, data)
    if first:
        job.emit(StateEvent(state=JobState.RUNNING))
    before = held_out.measure(trainer) if held_out and first else None

    checkpoint = checkpoints.newest(job.checkpoints)
    if checkpoint is None:
        trainer.train()
    elif checkpoints.step(checkpoint) >= trainers.total_steps(trainer):
        say(f"all steps are done in {checkpoint.name}; nothing is trained again")
        trainers.load_weights(trainer, checkpoint)
    else:
        say(f"resuming from {checkpoint.name}")
        trainer.train(resume_from_checkpoint=str(checkpoint))

    if not first:
        return
    trainers.save(trainer, tokenizer, request, job.adapter)
    if held_out and before is not None:
        after = held_out.measure(trainer)
        comparison = compare(
            before,
            after,
            prompts=held_out.texts,
            references=held_out.references,
            examples=request["evaluation"]["examples"],
        )
        job.emit(EvaluationEvent(result=comparison.model_dump(mode="json")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
