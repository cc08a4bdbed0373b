"""Translate a spec into the keyword arguments of TRL and PEFT, as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from tunekit.backends.local import arguments, measured, method, objective, rollouts, sweep, traps
from tunekit.backends.local.kernels import Kernels, choose, told
from tunekit.backends.local.warm_start.begin import begin
from tunekit.data.profile import Profile
from tunekit.models import Model
from tunekit.planning import replay
from tunekit.planning.activations import Step
from tunekit.planning.defaults import resolve
from tunekit.planning.foresight import Workload, foresee
from tunekit.planning.ledger import Ledger
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Change, Estimate, Plan
from tunekit.planning.shape import shape
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import QLoRA
from tunekit.spec.objectives import CPO, DPO, IPO, ORPO, SFT, SimPO


def build(
    spec: FineTune,
    model: Model,
    data: Profile,
    *,
    machine: Machine,
    engine: Change,
    kernels: Kernels,
    devices: int | None,
) -> Plan:
    """Account for every field and make the request of the worker."""
    count = devices or machine.devices
    begun = begin(spec, engine.used)
    spec = begun.spec
    passes = choose(spec, model, asked=kernels, engine=engine.used, machine=machine)
    read, data = data, replay.with_answers(spec, data)
    picks = resolve(spec, model, data, replace(machine, devices=count), fast=passes.used == "fast")
    use = Ledger(spec, picks)
    use.note(engine)
    use.note(passes)
    use.note(_threads(machine))
    request: dict[str, Any] = {
        "engine": engine.used,
        "kernels": told(passes),
        "device": machine.device,
        "devices": count,
        "threads": max(1, machine.threads // count) if machine.device == "cpu" else machine.threads,
        "objective": use.take("objective.type"),
        "model": method.model(use, spec, machine),
        **method.learns(use, spec),
        "data": _data(use, spec),
        "trainer": arguments.trainer(use, spec, model, data, machine=machine, devices=count),
        "evaluation": measured.settings(use, spec, data),
        "rewards": rollouts.functions(use, spec),
    }
    for field in ("data", "validation", "output"):
        use.hold(field)
    begun.account(use)
    begun.complete(request)
    use.hold("extra")
    replay.hold(use, spec, read, writes=True)
    if spec.training.replay:
        request["replay"] = spec.training.replay.model_dump()
    if engine.used == "unsloth":
        _unsloth(use, spec, machine.device)
    if data.weighted and _counts_rows(spec):
        use.refuse_value("data", f"{data.weighted:,} rows with a weight", _ONCE)
    _merge(request, spec.extra.get("local", {}))
    traps.refuse(use, spec, model, request=request)
    if short := sweep.plan(use, spec, data, trainer=request["trainer"]):
        request["sweep"] = short
    estimates, warnings = _foresight(use, spec, model, data, request=request, machine=machine)
    warnings = (
        *warnings,
        *traps.warnings(spec, request),
        *objective.warnings(use, spec, data),
    )
    return use.close(request, backend="local", data=read, estimates=estimates, warnings=warnings)


def _data(use: Ledger, spec: FineTune) -> dict[str, Any]:
    """Say how rows are tokenised, and what becomes of what is found in them."""
    imitated = isinstance(spec.objective, SFT)
    return {
        "train_on": use.take("objective.train_on") if imitated else "completion",
        "max_length": use.take("training.max_length"),
        # The plan has refused such rows, so the worker need only say what it goes on without.
        "checks": {"row-weight": "warning", **spec.data.checks},
        "drop": list(spec.data.drop),
    }


def _foresight(
    use: Ledger,
    spec: FineTune,
    model: Model,
    data: Profile,
    *,
    request: dict[str, Any],
    machine: Machine,
) -> tuple[tuple[Estimate, ...], tuple[str, ...]]:
    """Estimate memory and time of what the worker is asked for; nothing for an unknown model."""
    size, trainer = shape(model), request["trainer"]
    if size is None:
        return (), ()
    rows = int(trainer["per_device_train_batch_size"]) * arguments.sides(spec)
    packing = bool(trainer.get("packing"))
    length = int(request["data"]["max_length"])
    batch = int(use.value("training.batch_size"))
    step = Step(
        method=spec.method,
        dtype=use.value("training.dtype"),
        tokens=rows * (length if packing else min(length, arguments.longest(spec, data))),
        rank=_rank(request["peft"] or {}),
        checkpointing=bool(trainer["gradient_checkpointing"]),
        rows=rows,
        joined=bool(trainer.get("padding_free")),
        accumulates=trainer["gradient_accumulation_steps"] > 1,
        reference=traps.asks_reference(spec),
        fast=request["kernels"] != "reference",
    )
    most = trainer["max_steps"]
    passes = most * batch / max(1, data.rows) if most > 0 else trainer["num_train_epochs"]
    if short := request.get("sweep"):
        passes += len(short["rates"]) * short["steps"] * batch / max(1, data.rows)
    count = replace(machine, devices=request["devices"])
    unsloth = request["engine"] == "unsloth"
    return foresee(Workload(size, step, batch, float(passes), unsloth=unsloth), data, count)


def _rank(peft: dict[str, Any]) -> int:
    """Give the rank as memory and time depend on it; AdaLoRA has one that is aimed at."""
    return int(peft.get("target_r") or peft.get("r") or 0)


def _unsloth(use: Ledger, spec: FineTune, device: str) -> None:
    """Refuse what Unsloth does not claim; its CPU path trains LoRA and full, with SFT."""
    wanted = spec.objective
    if isinstance(spec.method, QLoRA) and device == "cpu":
        use.refuse_value("method.type", "qlora", "Unsloth trains no quantised base on a CPU")
    traps.unsloth(use, spec)
    if not isinstance(wanted, SFT) and device == "cpu":
        use.refuse_value("objective.type", wanted.type, "Unsloth's CPU path trains by SFT only")
    elif isinstance(wanted, (SimPO, ORPO, CPO)):
        reason = "its loss is computed over TRL's DPOTrainer, which Unsloth replaces"
        use.refuse_value("objective.type", wanted.type, reason)
    elif not isinstance(wanted, (SFT, DPO, IPO)):
        reason = "Unsloth replaces TRL's trainer; the peft engine trains this: engine: peft"
        use.refuse_value("objective.type", wanted.type, reason)


def _counts_rows(spec: FineTune) -> bool:
    """Say whether the spec does not settle what becomes of rows that weigh more or less."""
    weight = spec.data.checks.get("row-weight", "error")
    return weight == "error" and "row-weight" not in spec.data.drop


_ONCE = (
    "every row counts once here; train on Together or Fireworks, repeat or remove rows, or leave "
    "them out: data: {drop: [row-weight]}"
)


def _threads(machine: Machine) -> Change:
    return Change(
        field="backend.threads",
        outcome="auto",
        asked="auto",
        used=machine.threads,
        reason=machine.reason,
    )


def _merge(request: dict[str, Any], extra: dict[str, Any]) -> None:
    """Put native settings over ours, part by part."""
    for key, value in extra.items():
        current = request.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            _merge(cast("dict[str, Any]", current), cast("dict[str, Any]", value))
        else:
            request[key] = value
