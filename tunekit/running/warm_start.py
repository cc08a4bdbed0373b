"""A run that another one goes on from, as the backend knows it."""

from __future__ import annotations

from pathlib import Path

from tunekit import store
from tunekit.backends import registry
from tunekit.backends.catalogue import EMBEDDED
from tunekit.errors import RunError, SpecError
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.store import RunFolder


def resolved(spec: FineTune, backend: str) -> tuple[FineTune, tuple[Change, ...]]:
    """Give the spec with a run in `start_from` as that backend knows it, and the change.

    A run of the same backend becomes its job, where the backend keeps the model; any other one the
    folder of its adapter.

    Raises:
        SpecError: there is no such run, it has no result, or it trained another model.
    """
    start = spec.start_from
    if start is None or start.partition(":")[0] in registry.names():
        return spec, ()
    if start.startswith((".", "~", "/")) or Path(start).is_dir():
        folder = str(Path(start).expanduser().absolute())
        return spec.model_copy(update={"start_from": folder}), ()
    run = _found(start, spec.model)
    place, reason = _place(run, backend)
    change = Change(field="start_from", outcome="adapted", asked=start, used=place, reason=reason)
    return spec.model_copy(update={"start_from": place}), (change,)


def _found(name: str, model: str) -> RunFolder:
    try:
        run = store.find(name)
    except RunError as error:
        raise SpecError(
            f"start_from: {error}. Give a run, a job such as together:ft-12ab, or the folder of "
            "an adapter"
        ) from None
    trained = run.read().plan.model
    if EMBEDDED.get(trained, trained) != EMBEDDED.get(model, model):
        raise SpecError(f"start_from: {run.id} trained {trained}, and model is {model}")
    return run


def _place(run: RunFolder, backend: str) -> tuple[str, str]:
    """Give the place to go on from, and the reason."""
    record = run.read()
    if record.plan.backend == backend and record.hosted:
        return f"{backend}:{record.job_id}", f"the job of {run.id}"
    if not run.adapter.is_dir():
        raise SpecError(
            f"start_from: {run.id} is {record.state} and has brought nothing home; "
            f"`tunekit wait {run.id}` waits for it"
        )
    return str(run.adapter), f"what {run.id} has trained"
