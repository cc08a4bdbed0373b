"""Short runs at three learning rates; the best on held-out rows is then trained to the end."""

from __future__ import annotations

import gc
import math
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.backends.local.failure import Stopped
from tunekit.backends.local.job import Job, is_first
from tunekit.backends.local.traps import asks_reference
from tunekit.data.profile import Profile
from tunekit.errors import Diverged
from tunekit.events import JobState
from tunekit.planning.learning_rate import HIGHEST
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full

FACTORS = (1 / 3, 1.0, 3.0)
SHARE = 0.1
"""Of all optimizer steps: how long each short run is at most."""
FEWEST = 5
"""Steps that a short run has in any case."""
_FIELD = "training.learning_rate"


def plan(use: Ledger, spec: FineTune, data: Profile, *, trainer: Mapping[str, Any]) -> Any:
    """Say which rates are tried for how many steps, None where no sweep is asked for.

    Refuses a sweep that nothing could decide.
    """
    if not use.sweeps():
        return None
    middle = float(use.value(_FIELD))
    if reason := _undecided(spec, data):
        use.refuse_value(_FIELD, "sweep", reason, used=middle)
        return None
    rates = [float(f"{min(HIGHEST, middle * factor):.1e}") for factor in FACTORS]
    steps = max(FEWEST, math.floor(SHARE * _steps(use, data, trainer)))
    use.note(
        Change(
            field=_FIELD,
            outcome="adapted",
            asked="sweep",
            used=", ".join(f"{rate:g}" for rate in rates),
            reason=f"{steps} steps at each; the one with the least loss on the "
            f"{data.validation_rows:,} held-out rows is trained to the end",
        )
    )
    return {"rates": rates, "steps": steps}


def _undecided(spec: FineTune, data: Profile) -> str:
    """Say why nothing would tell the rates apart, if so."""
    if spec.objective.type == "grpo":
        return "the loss of GRPO says nothing about its answers, so no held-out loss can decide"
    if isinstance(spec.method, Full) and asks_reference(spec):
        return (
            "all weights change, and what the base makes of held-out answers is not kept: "
            "write a rate, or take an adapter"
        )
    if not data.validation_rows:
        return "needs held-out rows to choose by; give validation, or write a rate"
    return ""


def _steps(use: Ledger, data: Profile, trainer: Mapping[str, Any]) -> int:
    if trainer["max_steps"] > 0:
        return int(trainer["max_steps"])
    sequences = data.rows
    if trainer.get("packing"):
        sequences = math.ceil(data.tokens / int(use.value("training.max_length")))
    each = max(1, math.ceil(sequences / int(use.value("training.batch_size"))))
    return math.ceil(float(trainer["num_train_epochs"]) * each)


def decide(job: Job, request: dict[str, Any], say: Callable[[str], None]) -> None:
    """Put the learning rate of the whole run into the request.

    The result of each short run is kept in sweep.json, so that none is made twice.

    Raises:
        Diverged: the loss of every short run is not finite.
    """
    wanted = request.get("sweep")
    if not wanted:
        return
    found = job.read("sweep") or {"results": []}
    for rate in wanted["rates"][len(found["results"]) :]:
        loss = _Trial(job, request, rate).loss()
        found["results"].append({"learning_rate": rate, "loss": loss})
        _keep(job, found)
        what = "diverged" if loss is None else f"held-out loss {loss:.4f}"
        say(f"learning rate {rate:g}, {wanted['steps']} steps: {what}")
    if "chosen" not in found:
        found["chosen"] = _best(found["results"])
        _keep(job, found)
    say(f"learning rate {found['chosen']:g} is taken: it has the least held-out loss")
    request["trainer"]["learning_rate"] = found["chosen"]


def _keep(job: Job, found: dict[str, Any]) -> None:
    if is_first():
        job.write("sweep", found)


def _best(results: list[dict[str, Any]]) -> float:
    finite = [each for each in results if each["loss"] is not None]
    if not finite:
        tried = ", ".join(f"{each['learning_rate']:g}" for each in results)
        raise Diverged(
            f"the loss diverged at every learning rate tried: {tried}; write a lower one"
        )
    return float(min(finite, key=lambda each: each["loss"])["learning_rate"])


class _Folder(Job):
    """The folder of a short run; it is cancelled when the whole job is."""

    def __init__(self, whole: Job, name: str) -> None:
        super().__init__(whole.path / "sweep" / name)
        self._whole = whole

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled


@dataclass(frozen=True)
class _Trial:
    """One short run, on a model of its own."""

    job: Job
    request: dict[str, Any]
    rate: float

    def loss(self) -> float | None:
        """Train, and give the mean loss of the objective on held-out rows; None if it diverged."""
        from tunekit.backends.local import models, trainers
        from tunekit.backends.local.rows import tokenized

        folder = _Folder(self.job, f"{self.rate:g}")
        request = self._short(folder)
        model, tokenizer = models.load(request)
        list(models.fit(request, model))
        data = tokenized(Path(request["train"]), request, tokenizer)
        held_out = tokenized(Path(request["validation"]), request, tokenizer)
        trainer = trainers.build(folder, request, model, tokenizer, data)
        try:
            return self._judged(trainer, held_out.columns)
        finally:
            del model, trainer
            _free()
            shutil.rmtree(folder.checkpoints, ignore_errors=True)

    def _judged(self, trainer: Any, columns: dict[str, list[Any]]) -> float | None:
        from datasets import Dataset

        trainer.args.save_strategy = "no"
        trainer.args.per_device_eval_batch_size = trainer.args.per_device_train_batch_size
        try:
            trainer.train()
        except Diverged:
            return None
        except Stopped as stop:
            if stop.state is JobState.CANCELLED:
                raise
            reason = "interrupted while the learning rate was sought; what was found is kept"
            raise Stopped(stop.state, reason) from None
        loss = float(trainer.evaluate(Dataset.from_dict(columns))["eval_loss"])
        return loss if math.isfinite(loss) else None

    def _short(self, folder: Job) -> dict[str, Any]:
        """Give the request of the short run, over as many rows as it will see."""
        wanted, trainer = self.request["sweep"], self.request["trainer"]
        steps = int(wanted["steps"])
        devices = int(self.request.get("devices", 1))
        batch = devices * trainer["per_device_train_batch_size"]
        batch *= trainer["gradient_accumulation_steps"]
        rows = None if trainer.get("packing") else steps * batch
        folder.path.mkdir(parents=True, exist_ok=True)
        # Each process writes its own, so that none waits for another's.
        files = {
            name: folder.path / f"{name}-{os.environ.get('RANK', '0')}.jsonl"
            for name in ("train", "validation")
        }
        _sample(Path(self.request["train"]), files["train"], rows, seed=trainer["seed"])
        shutil.copyfile(self.request["validation"], files["validation"])
        short = {"learning_rate": self.rate, "max_steps": steps}
        return {
            **self.request,
            **{name: str(path) for name, path in files.items()},
            "data": dict(self.request["data"]),
            "trainer": {**trainer, **short},
        }


def _sample(source: Path, target: Path, count: int | None, *, seed: int) -> None:
    """Copy so many rows, drawn at random and kept in order; None: all of them."""
    if count is None:
        shutil.copyfile(source, target)
        return
    with source.open("rb") as file:
        total = sum(1 for _ in file)
    kept = set(random.Random(seed).sample(range(total), min(total, count)))
    with source.open("rb") as file, target.open("wb") as out:
        out.writelines(line for number, line in enumerate(file) if number in kept)


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
