"""Where training starts, as the plan has it: refused, or a spec and a request that fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.adapters.allowed import CONFIG, WEIGHTS
from tunekit.backends.local.traps import asks_reference
from tunekit.backends.local.warm_start import fields
from tunekit.backends.local.warm_start.agreed import Agreed, agree, method_of
from tunekit.backends.local.warm_start.opened import MERGE, Start
from tunekit.backends.warm_start import FIELD
from tunekit.errors import AdapterError
from tunekit.files import sha256
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune


@dataclass(frozen=True)
class Begun:
    """A spec whose method is that of the adapter it goes on from."""

    spec: FineTune
    changes: tuple[Change, ...] = ()
    start: Start | None = None
    agreed: Agreed | None = None

    def account(self, use: Ledger) -> None:
        """List what became of the field, and of those that the adapter settles."""
        use.take(FIELD)
        for change in self.changes:
            use.note(change)

    def complete(self, request: dict[str, Any]) -> None:
        """Tell the worker which bytes the adapter begins with, and PEFT its shape."""
        if self.start is None or self.agreed is None:
            return
        request["peft"].update(fields.told(self.start))
        if self.agreed.layers is not None:
            request["peft"]["target_modules"] = list(self.agreed.layers)
        for name in ("init", "init_text"):
            request["method"].pop(name, None)
        request["start"] = {
            "folder": str(self.start.folder),
            "sha256": {name: sha256(self.start.folder / name) for name in (CONFIG, WEIGHTS)},
            "reference": asks_reference(self.spec),
        }


def begin(spec: FineTune, engine: str) -> Begun:
    """Open what `start_from` names, and let the method fit it; a reason where that cannot be."""
    named = spec.start_from
    if named is None:
        return Begun(spec)
    if not Path(named).is_absolute():
        return _refused(spec, _no_folder(named))
    if engine == "unsloth":
        reason = "tunekit's Unsloth engine starts from new weights; the peft engine goes on from "
        return _refused(spec, f"{reason}an adapter: engine: peft")
    try:
        start = Start.open(Path(named), spec.model)
    except AdapterError as error:
        return _refused(spec, str(error))
    if other := _other(spec, start):
        return Begun(spec, (other,))
    found = agree(spec, start)
    fitting = spec.model_copy(update={"method": found.method})
    return Begun(fitting, tuple(found.changes), start, found)


def _other(spec: FineTune, start: Start) -> Change | None:
    """Refuse an adapter of another method or task than those of the spec."""
    asked, there = fields.kind(spec.method), start.config.method
    if (spec.objective.type == "reward") != start.scores:
        what = "gives scores" if start.scores else "writes texts and has no head for scores"
        reason = f"{start.folder}: its model {what}; {MERGE}"
        if start.scores:
            reason = f"{start.folder}: its model {what}: --set objective=reward"
        return _change(FIELD, str(start.folder), reason)
    if "method" not in spec.model_fields_set or asked == start.kind:
        return None
    if spec.method.type == "full":
        reason = f"full trains the model itself, and start_from holds an adapter; {MERGE}"
        return _change(FIELD, str(start.folder), reason)
    made = method_of(start).type
    mend = "leave method out" if made == "peft" else f"--set method={made}"
    reason = f"start_from holds an adapter of {there}: {mend}"
    return _change("method.type", spec.method.type, reason)


def _no_folder(named: str) -> str:
    service = named.partition(":")[0]
    return (
        f"what lies at {service} is brought here first: `tunekit attach {named}`, then "
        "`tunekit wait RUN`, and start_from: RUN"
    )


def _refused(spec: FineTune, reason: str) -> Begun:
    return Begun(spec, (_change(FIELD, spec.start_from, reason),))


def _change(name: str, asked: Any, reason: str) -> Change:
    return Change(field=name, outcome="unsupported", asked=asked, reason=reason)
