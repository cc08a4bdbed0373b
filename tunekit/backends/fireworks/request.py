"""Translate a spec into the body of a Fireworks job, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunekit.backends import catalogue, warm_start
from tunekit.backends.fireworks import extra, objective, schedule
from tunekit.backends.fireworks.datasets import FEWEST, MOST
from tunekit.backends.fireworks.job import PREFERENCE, SUPERVISED, is_start
from tunekit.backends.plain_lora import RANK, trains
from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning import replay
from tunekit.planning.defaults import resolve
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change, Plan
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import Full, QLoRA
from tunekit.spec.objectives import SFT

MACHINE = Machine("cuda", 1, 1, 0, True, "Fireworks' own; made up, so that plans are equal")
HIGHEST_RANK = 32
_OURS = ("data", "validation", "evaluation", "output", "extra")
_PLATFORM = "Fireworks sets it; the adapter that comes back says to what"
_ALPHA = f"{_PLATFORM}; its Training API takes 32, as the learning rates here assume"


@dataclass(frozen=True)
class Options:
    """What the backend's options add to a request."""

    model_name: str | None
    region: str | None
    wandb: Mapping[str, str]
    """Project and entity; the key is added when the job is sent."""


def build(spec: FineTune, model: Model, data: Profile, options: Options) -> Plan:
    """Account for every field and make the request: collection, body, and how rows are written."""
    use = Ledger(spec, resolve(_trained(spec), model, data, MACHINE))
    warnings: list[str] = []
    for field in _OURS:
        use.hold(field)
    replay.hold(use, spec, data)
    use.refuse("training.early_stopping", "Fireworks trains to the end; lower training.epochs")
    name = _model(use, model, options.model_name, warnings)
    settings: dict[str, Any] = {
        "baseModel": name,
        **_method(use, spec),
        **schedule.settings(use, spec, data),
    }
    if options.region:
        settings["region"] = options.region
    start = _start(use, spec)
    if start is not None:
        settings["warmStartFrom"] = start
    body = objective.body(use, spec, settings)
    if options.wandb:
        body["wandbConfig"] = {"enabled": True, **options.wandb}
    extra.merge(use, body, spec.extra.get("fireworks", {}))
    request = {
        "collection": PREFERENCE if "trainingConfig" in body else SUPERVISED,
        "body": body,
        "rows": _rows(use, spec, data),
        # What the start must have been made of; asked before anything is bought.
        **({"base": name} if start else {}),
    }
    return use.close(request, backend="fireworks", data=data, warnings=warnings)


def _trained(spec: FineTune) -> FineTune:
    """Give the spec without what would change automatic values, and Fireworks does not have."""
    training = spec.training.model_copy(update={"max_steps": None, "packing": False})
    method: Any = spec.method
    if method.type in ("lora", "qlora"):
        method = method.model_copy(update={"alpha": "auto", "use_rslora": False, "lr_ratio": None})
    return spec.model_copy(update={"training": training, "method": method})


def _model(use: Ledger, model: Model, given: str | None, warnings: list[str]) -> str:
    if given is not None:
        name = given if "/" in given else f"accounts/fireworks/models/{given}"
        return str(use.adapt("model", name, "model_name says so"))
    named = catalogue.named(model.id, "fireworks")
    if model.known_from == "folder":
        use.take("model")
        use.refuse_value(
            "model",
            model.id,
            "a folder of yours; set model_name to the one of Fireworks' models that it is",
        )
    elif named.known:
        use.adapt("model", named.name, "its name at Fireworks")
    else:
        use.adapt("model", named.name, "by the rule of Fireworks' names; asked at submission")
        warnings.append(
            f"{named.name} follows the rule of Fireworks' names and is looked up before anything "
            "is bought; where it has another name there, set the backend's model_name"
        )
    return named.name


def _start(use: Ledger, spec: FineTune) -> str | None:
    """Give the model, or the job of the model, that training goes on from."""
    start = warm_start.job_of(use, "fireworks")
    if start is None:
        return None
    if isinstance(spec.method, Full):
        warm_start.refuse(use, "Fireworks goes on from adapters only; method full makes none")
        return None
    if not is_start(start):
        warm_start.refuse(use, "give accounts/ACCOUNT/models/MODEL, or a job: COLLECTION/ID")
        return None
    warm_start.replaces_model(use, start, "Fireworks")
    return start


def _method(use: Ledger, spec: FineTune) -> dict[str, Any]:
    use.take("method.type")
    if not trains(use, spec, "Fireworks"):
        return {"loraRank": RANK}
    if isinstance(spec.method, Full):
        return {"loraRank": 0}
    if isinstance(spec.method, QLoRA):
        use.refuse_value("method.type", "qlora", "Fireworks has no switch for it; lora is there")
        for field in ("method.quantization", "method.double_quantization"):
            use.refuse(field, "Fireworks decides how it holds the base")
    use.refuse("method.alpha", _ALPHA)
    for field in ("method.dropout", "method.target_modules"):
        use.refuse(field, _PLATFORM)
    return {"loraRank": _rank(use, getattr(spec.method, "rank", "auto"))}


def _rank(use: Ledger, asked: int | str) -> int:
    rank = int(use.value("method.rank"))
    nearest = min(HIGHEST_RANK, 1 << (rank.bit_length() - 1))
    reason = f"Fireworks takes powers of two up to {HIGHEST_RANK}"
    if asked == "auto":
        use.adapt("method.rank", nearest, reason)
    elif rank == nearest:
        use.take("method.rank")
    else:
        use.refuse("method.rank", reason, used=nearest)
    return nearest


def _rows(use: Ledger, spec: FineTune, data: Profile) -> dict[str, Any]:
    """Say how rows are written, and refuse those that Fireworks has no form for."""
    pairs = not isinstance(spec.objective, SFT)
    weighted = bool(data.weighted or data.held_weighted)
    rows: dict[str, Any] = {"weighted": weighted and not pairs}
    if not pairs:
        rows["train_on"] = _train_on(use)
    if data.kind == "text":
        use.refuse_value("data", "text", "Fireworks has no form for plain text; make chats of it")
    elif pairs and weighted:
        use.refuse_value("data", "weighted pairs", "Fireworks weighs chats, not pairs")
    elif not FEWEST <= data.rows <= MOST:
        use.refuse_value("data", f"{data.rows} rows", f"Fireworks takes {FEWEST} to {MOST:,} rows")
    if rows["weighted"] and data.unweighted:
        use.note(_filled(data.unweighted))
    rows["validation"] = _validation(use, data, pairs=pairs)
    return rows


def _filled(place: str) -> Change:
    return Change(
        field="data",
        outcome="adapted",
        asked=f"no weight beside {place}",
        used=1,
        reason="Fireworks takes a weight on all rows or on none; a row without one counts as 1",
    )


def _train_on(use: Ledger) -> str:
    wanted = str(use.value("objective.train_on"))
    if wanted == "all":
        reason = "Fireworks trains on the assistant's turns only"
        use.refuse("objective.train_on", reason, used="assistant")
        return "assistant"
    return str(use.take("objective.train_on"))


def _validation(use: Ledger, data: Profile, *, pairs: bool) -> bool:
    """Say whether the held-out rows are sent too; they are compared here in any case."""
    if not data.validation_rows:
        return False
    reason = "Fireworks evaluates no jobs on pairs" if pairs else f"it takes no fewer than {FEWEST}"
    if not pairs and data.validation_rows >= FEWEST:
        return True
    use.note(
        Change(
            field="validation",
            outcome="dropped",
            asked=f"{data.validation_rows} rows",
            reason=f"not sent to Fireworks: {reason}",
        )
    )
    return False
