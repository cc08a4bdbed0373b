"""Make a weaker adapter of a run that forgets too much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunekit.adapters.adapter import Adapter
from tunekit.errors import RunError
from tunekit.evaluation.mitigation import KEEP, Mitigation
from tunekit.files import write_atomic
from tunekit.running.evaluation import begin, finish, request
from tunekit.spec.finetune import FineTune
from tunekit.store import RunFolder

RECORD = "mitigation.json"


@dataclass(frozen=True)
class Mitigated:
    """What was tried, and the folder of the weaker adapter, if one was made."""

    found: Mitigation
    adapter: Path | None


def mitigate(folder: RunFolder, *, keep: float = KEEP) -> Mitigated:
    """Find the largest scale of the adapter that forgets little enough and keeps the gain.

    Where it is below 1, the adapter is written at that scale to `adapter-SCALE` in the run folder,
    with its history; what was tried is in `mitigation.json` there.

    Args:
        folder: A run that has succeeded, with held-out rows.
        keep: Share of the gain on the held-out loss that must be left.

    Raises:
        RunError: the result is not here or cannot be scaled, or measuring failed.
        AdapterError: the adapter is no LoRA, or a DoRA.
    """
    entry = folder.read()
    wanted = FineTune(**entry.spec).evaluation.gate
    job = begin(folder)
    asked = request(folder, entry, job.path, data=None, adapter=None)
    if Adapter.open(folder.adapter).kind != "adapter":
        raise RunError(
            f"{folder.id}: every weight was trained, so there is no adapter to use less of; "
            "train with training.replay, or a lower training.learning_rate",
            run_id=folder.id,
        )
    asked["evaluation"]["forgetting"] = asked["evaluation"]["forgetting"] or "auto"
    worst = (wanted and wanted.forgetting) or "pass"
    job.write("request", {**asked, "task": "mitigate", "mitigate": {"keep": keep, "worst": worst}})
    found = Mitigation.model_validate(finish(folder, job))
    write_atomic(folder.path / RECORD, found.model_dump_json(indent=1) + "\n")
    if found.chosen is None or found.chosen == 1:
        return Mitigated(found, None)
    into = folder.path / f"adapter-{found.chosen:g}"
    if not into.exists():
        Adapter.open(folder.adapter).rescale(found.chosen, into)
    return Mitigated(found, into)
