"""The ledger: each field of the spec leaves through it once, or is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from tunekit.data.profile import Profile
from tunekit.planning import serving
from tunekit.planning.learning_rate import effective, scale
from tunekit.planning.plan import Change, Estimate, Plan
from tunekit.spec.finetune import Data, FineTune

_APART = frozenset({"data", "validation", "extra", "training.replay"})
"""Fields that are one thing, however many keys they have."""


class Ledger:
    """Account for every field of a spec while a native request is built.

    A field is *taken* as it is, *adapted* to another unit, *dropped* because it cannot change
    what is learnt, or *refused*. A refusal of something the user set makes the plan unsupported;
    a refusal of a default is listed as dropped. `close` refuses every field that nobody mentioned.
    """

    def __init__(self, spec: FineTune, resolved: Mapping[str, Change] | None = None) -> None:
        self._spec = spec
        self._open = dict(_leaves(spec))
        self._set = {path for path, _ in _leaves(spec, only_set=True)}
        self._resolved = dict(resolved or {})
        self._changes: list[Change] = []
        self._sweeps = False

    def value(self, field: str) -> Any:
        """Look at a field, automatic values resolved, without accounting for it."""
        if field in self._resolved:
            return self._resolved[field].used
        return _look(self._spec, field)

    def take(self, field: str) -> Any:
        """Honour the field as written, or its automatic value, which is listed."""
        self._close_field(field)
        if field in self._resolved:
            self._changes.append(self._resolved[field])
        return self.value(field)

    def adapt(self, field: str, used: Any, reason: str) -> Any:
        """Honour the field in another form or unit."""
        asked = self.value(field)
        self._close_field(field)
        if field in self._resolved:
            self._changes.append(self._resolved[field])
        if asked != used:
            self._changes.append(
                Change(field=field, outcome="adapted", asked=asked, used=used, reason=reason)
            )
        return used

    def drop(self, field: str, reason: str) -> None:
        """Leave out a field that cannot change what is learnt."""
        for leaf in self._close_field(field):
            if leaf in self._set:
                asked = _plain(_look(self._spec, leaf))
                self._changes.append(
                    Change(field=leaf, outcome="dropped", asked=asked, reason=reason)
                )

    def refuse(self, field: str, reason: str, *, used: Any = None) -> None:
        """Say that the backend cannot honour the field; stops the run if the user set it."""
        for leaf in self._close_field(field):
            wish = leaf in self._set
            outcome: Literal["unsupported", "dropped"] = "unsupported" if wish else "dropped"
            asked = _plain(_look(self._spec, leaf))
            self._changes.append(
                Change(field=leaf, outcome=outcome, asked=asked, used=used, reason=reason)
            )

    def refuse_value(self, field: str, asked: Any, reason: str, *, used: Any = None) -> None:
        """Refuse the value of a field that was taken: it is one this backend cannot honour here."""
        self._changes = [change for change in self._changes if change.field != field]
        self._changes.append(
            Change(field=field, outcome="unsupported", asked=asked, used=used, reason=reason)
        )

    def hold(self, field: str) -> None:
        """Account for a field that tunekit itself carries out, on every backend alike."""
        self._close_field(field)

    def sweeps(self) -> bool:
        """Say whether the rate is to be the best of short runs, which the caller then makes."""
        self._sweeps = True
        return self._spec.training.learning_rate == "sweep"

    def note(self, change: Change) -> None:
        """List a change that concerns no field, or one more step of a field that was taken."""
        self._changes.append(change)

    def close(
        self,
        request: dict[str, Any],
        *,
        backend: str,
        data: Profile | None = None,
        estimates: Sequence[Estimate] = (),
        warnings: Sequence[str] = (),
    ) -> Plan:
        """Make the plan; whatever was not mentioned is refused."""
        for field in list(self._open):
            # Where nothing is wished for, nothing is refused.
            if field in self._set or self.value(field) is not None:
                self.refuse(field, f"{backend} does not know this field")
        if not self._sweeps and self._spec.training.learning_rate == "sweep":
            reason = f"{backend} makes no short runs to compare; {_LEFT_OPEN}"
            used = self.value("training.learning_rate")
            self.refuse_value("training.learning_rate", "sweep", reason, used=used)
        refused = serving.refusal(self._spec, self.value, request.get("peft"))
        if refused is not None:
            self.note(refused)

        return Plan(
            backend=backend,
            model=self._spec.model,
            summary=_summary(self._spec, data),
            request=request,
            changes=tuple(sorted(self._changes, key=lambda change: _ORDER[change.outcome])),
            estimates=(*estimates, *self._effective()),
            warnings=tuple(warnings),
        )

    def _effective(self) -> Iterator[Estimate]:
        """Say what the rate comes to at the alpha that rates are compared at."""
        found = scale(self._spec.method, self.value)
        rate = self.value("training.learning_rate")
        imposed = any(
            change.field == "method.alpha" and change.outcome in ("dropped", "unsupported")
            for change in self._changes
        )
        if found is not None and isinstance(rate, float) and not imposed:
            yield effective(rate, found)

    def _close_field(self, field: str) -> list[str]:
        """Close a leaf, or every leaf below a group such as `evaluation`."""
        group = f"{field}."
        leaves = (
            [field]
            if field in self._open
            else [leaf for leaf in self._open if leaf.startswith(group)]
        )
        for leaf in leaves:
            del self._open[leaf]
        return leaves


_LEFT_OPEN = "write a rate, leave it at auto, or find one with backend: local"
_ORDER = {"unsupported": 0, "adapted": 1, "dropped": 2, "auto": 3}


_VARIANTS = ("use_dora", "use_rslora", "lr_ratio", "init", "last_layers")
"""Options of a method that have names of their own in the field: DoRA, LoRA+, PiSSA."""


def _named(method: BaseModel) -> str:
    """Name a method with the options that make it another one, so that a shorthand is seen."""
    options = [
        name if value is True else f"{name} {value}"
        for name in _VARIANTS
        if name in type(method).model_fields
        and (value := getattr(method, name)) != type(method).model_fields[name].default
    ]
    name = type(method).__name__
    return f"{name} ({', '.join(options)})" if options else name


def _summary(spec: FineTune, data: Profile | None) -> str:
    line = f"{type(spec.objective).__name__} with {_named(spec.method)}"
    if data is None:
        return line
    rows = "row" if data.rows == 1 else "rows"
    return f"{line} on {data.rows:,} {data.kind} {rows}, {data.validation_rows:,} held out"


def _leaves(
    model: BaseModel, prefix: str = "", *, only_set: bool = False
) -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        if only_set and name not in model.model_fields_set:
            continue
        value = getattr(model, name)
        path = prefix + name
        if isinstance(value, BaseModel) and not isinstance(value, Data) and path not in _APART:
            yield from _leaves(value, path + ".", only_set=only_set)
        else:
            yield path, value


def _look(spec: FineTune, field: str) -> Any:
    value: Any = spec
    for name in field.split("."):
        value = getattr(value, name)
    return value


def _plain(value: Any) -> Any:
    """Give a value as JSON has it: a plan is JSON throughout."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
