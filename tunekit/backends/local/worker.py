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
from tunekit.backends.local.job import Job, is_first
from tunekit.backends.local.methods import noise
from tunekit.events import EvaluationEvent, JobState, LogEvent, StateEvent


def main(folder: Path) -> None:
    """Run one job to its end; whatever happens is in result.json."""
    job = Job(folder)
    first = is_first()
    if first:
        job.write("worker", {"pid": os.getpid(), "python": sys.executable})
    request = job.read("request") or {}
    with warnings.catch_warnings():
        # TRL and PEFT call what transformers has renamed; it is not for our users to mend.
        warnings.simplefilter("ignore", FutureWarning)
        noise.silence()
        task = measure if "task" in request else train
        result = outcome(lambda: task(job, request, first=first))
    if first:
        end(job, result)


def outcome(work: Callable[[], None]) -> dict[str, Any]:
    """Do something, and say how it ended."""
    try:
        work()
    except Stopped as stop:
        return {"state": stop.state, "reason": stop.reason, "error": ""}
    except Exception as error:
        traceback.print_exc()
        reason, name = explain(error)
        return {"state": JobState.FAILED, "reason": reason, "error": name}
    return {"state": JobState.SUCCEEDED}


def end(job: Job, result: dict[str, Any]) -> None:
    """Leave the result of a job."""
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

    from tunekit.backends.local import models, sweep
    from tunekit.backends.local.columns import functions
    from tunekit.backends.local.training import Training

    if request["device"] == "cpu":
        torch.set_num_threads(request["threads"])

    functions(request)  # before anything that takes long: they are the user's own

    def say(message: str) -> None:
        if first:
            job.emit(LogEvent(message=message))

    sweep.decide(job, request, say)
    say(f"loading {request['model']['source']}")
    model, tokenizer = models.load(request)
    Training.prepare(job, request, model, tokenizer, first=first).carry_out()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
