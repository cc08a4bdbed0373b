"""The method of a spec as the adapter has it that training goes on from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, cast

from tunekit.backends.local.peft_arguments.low_rank import CONVERTED
from tunekit.backends.local.warm_start import fields
from tunekit.backends.local.warm_start.opened import Start
from tunekit.planning.plan import Change
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import AnyMethod, LoRA, Peft, QLoRA

_SHOWN = 12
_INITS = ("init", "init_text", "d_initial")
"""Fields of methods that say what a new adapter begins with."""
_REASON = "the adapter in start_from has it so"


@dataclass
class Agreed:
    """A method that fits the adapter, and how it came to that."""

    method: AnyMethod
    asked: AnyMethod
    changes: list[Change] = field(default_factory=list[Change])
    layers: tuple[str, ...] | None = None
    """Names of the layers for PEFT; None where the method's own are to be tried."""

    def put(self, name: str, value: Any, *, mend: str = "") -> None:
        """Let a field be what the adapter has; a wish for something else is unsupported."""
        asked = getattr(self.asked, name)
        shown = _plain(value)
        if name in self.asked.model_fields_set and asked != "auto":
            mend = mend or f"--set method.{name}={_text(shown)}"
            reason = f"the adapter in start_from has {_text(shown)}: {mend}"
            self.note(name, "unsupported", asked, reason, used=shown)
        else:
            self.note(name, "adapted", asked, _REASON, used=shown)
        self.method = self.method.model_copy(update={name: value})

    def note(
        self,
        name: str,
        outcome: Literal["adapted", "dropped", "unsupported"],
        asked: Any,
        reason: str,
        *,
        used: Any = None,
    ) -> None:
        """List what became of a field."""
        self.changes.append(
            Change(
                field=f"method.{name}",
                outcome=outcome,
                asked=_plain(asked),
                used=used,
                reason=reason,
            )
        )

    def begin_anew(self) -> None:
        """Take away how the adapter would begin: it begins with the weights that there are."""
        for name in _INITS:
            if name not in type(self.asked).model_fields:
                continue
            usual = type(self.asked).model_fields[name].default
            asked = getattr(self.asked, name)
            if name in self.asked.model_fields_set and asked != usual:
                self._refuse_init(name, asked)
            self.method = self.method.model_copy(update={name: usual})

    def _refuse_init(self, name: str, asked: Any) -> None:
        if asked in (*CONVERTED, "eva"):
            reason = (
                f"{asked} chooses what a new adapter begins with, and this one begins with the "
                f"weights in start_from: --set method={self.asked.type}"
            )
            self.note(name, "unsupported", asked, reason)
        else:
            self.note(name, "dropped", asked, "it begins with the weights in start_from")


def agree(spec: FineTune, start: Start) -> Agreed:
    """Give the spec's method with the fields that the adapter settles.

    What was set otherwise is unsupported, with the `--set` that mends it; what was left open is
    adapted. The method itself is the adapter's unless one was set.
    """
    if fields.kind(spec.method) == start.kind and "method" in spec.model_fields_set:
        found = Agreed(spec.method, spec.method)
    else:
        found = _switched(spec.method, start)
    if isinstance(found.method, Peft):
        _agree_config(found, start)
        return found
    for name, value in fields.settled(start).items():
        if _differ(getattr(found.asked, name), value):
            found.put(name, value)
    _agree_targets(found, start)
    found.begin_anew()
    return found


def _switched(usual: AnyMethod, start: Start) -> Agreed:
    """Give the method of the adapter, as nobody has set one."""
    made = method_of(start)
    found = Agreed(made, made)
    if made.type != usual.type:
        reason = f"start_from holds an adapter of {start.config.method}"
        found.note("type", "adapted", usual.type, reason, used=made.type)
    return found


def method_of(start: Start) -> AnyMethod:
    """Give a method of the adapter's kind, with nothing set."""
    if start.kind == "LORA":
        return _over_what(start)
    if start.kind in fields.OF:
        return cast("AnyMethod", fields.OF[start.kind]())
    told = fields.told(start)
    named = fields.targets(start)
    layers = {} if named is None else {"target_modules": list(named)}
    return Peft(config={"peft_type": start.kind, **told, **layers})


def _over_what(start: Start) -> LoRA | QLoRA:
    """Give QLoRA where a LoRA was trained here over a quantised base."""
    request: Any = start.provenance.request if start.provenance else {}
    model = request.get("model")
    rounded = cast("dict[str, Any]", model).get("quantization") if isinstance(model, dict) else None
    if not isinstance(rounded, dict):
        return LoRA()
    made = cast("dict[str, Any]", rounded)
    if made.get("load_in_8bit"):
        return QLoRA(quantization="int8")
    return QLoRA(
        quantization=made["bnb_4bit_quant_type"],
        double_quantization=made["bnb_4bit_use_double_quant"],
    )


def _agree_targets(found: Agreed, start: Start) -> None:
    """Let the layers be those of the adapter."""
    named = fields.targets(start)
    if named is None:
        return
    asked: Any = getattr(found.asked, "target_modules")  # noqa: B009
    same = fields.agree(asked, start)
    wished = "target_modules" in found.asked.model_fields_set
    if same is False or (same is None and not wished):
        short = f"--set method.target_modules=[{','.join(named)}]" if len(named) <= _SHOWN else ""
        found.put("target_modules", named, mend=short or "leave method.target_modules out")
    if same is not None or not wished:
        found.layers = named


def _agree_config(found: Agreed, start: Start) -> None:
    """Let the config of PEFT that a spec gives be that of the adapter."""
    asked = cast("Peft", found.asked).config
    settled, named = fields.told(start), fields.targets(start)
    other = {name for name, value in settled.items() if name in asked and asked[name] != value}
    if named is not None:
        wished = asked.get("target_modules")
        same = None if wished is None else fields.agree(_targets(wished), start)
        if same is False:
            other.add("target_modules")
        if wished is None or same is not None:
            settled["target_modules"], found.layers = list(named), named
    merged = {**asked, **settled}
    found.method = Peft(config=merged)
    if other:
        there = ", ".join(f"{name}: {_text(settled[name])}" for name in sorted(other))
        reason = f"the adapter in start_from has {there}; write that, or leave it out"
        found.note("config", "unsupported", asked, reason, used=merged)
    elif merged != asked:
        found.note("config", "adapted", asked, _REASON, used=merged)


def _targets(wished: Any) -> Any:
    return wished if isinstance(wished, str) else tuple(wished)


def _differ(asked: Any, value: Any) -> bool:
    if not isinstance(value, tuple):
        return bool(asked != value)
    return set(asked) != set(cast("tuple[str, ...]", value))


def _plain(value: Any) -> Any:
    """Give a value as JSON has it, and no list that fills a screen."""
    if not isinstance(value, tuple):
        return value
    names = [str(each) for each in cast("tuple[object, ...]", value)]
    if len(names) <= _SHOWN:
        return names
    ends = sorted({name.rpartition(".")[2] for name in names})
    return f"{len(names)} layers: {', '.join(ends)}"


def _text(value: Any) -> str:
    """Write a value as `--set` reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(str, cast('list[object]', value)))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
