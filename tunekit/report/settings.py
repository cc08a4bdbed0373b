"""The settings of runs, flat, so that they can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tunekit.errors import TunekitError
from tunekit.spec.finetune import FineTune
from tunekit.store import Record


def settings(record: Record) -> dict[str, str]:
    """Give every setting by its dotted place in the spec, with what was chosen automatically."""
    chosen = {
        change.field: change.used for change in record.plan.changes if change.outcome == "auto"
    }
    backend = {"backend": record.backend.get("type", record.plan.backend)}
    options = {f"backend.{key}": value for key, value in record.backend.items() if key != "type"}
    everything = {**_flat(_whole(record.spec)), **chosen, **backend, **options}
    return {name: written(value) for name, value in sorted(everything.items()) if value is not None}


def differing(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """List the settings that are not the same in all runs, each with its value in every run."""
    found = [settings(record) for record in records]
    names = dict.fromkeys(name for each in found for name in each)
    rows = [(name, [each.get(name, "") for each in found]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def written(value: Any) -> str:
    """Write a value as YAML and `--set` take it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.4e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False, default=str)


def _whole(wishes: dict[str, Any]) -> dict[str, Any]:
    """Add the defaults to what was set; a spec that is no longer one stays as it is."""
    try:
        return FineTune(**wishes).model_dump(mode="json")
    except TunekitError:
        return wishes


def _flat(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{place}{key}"
        if isinstance(value, dict) and value:
            found |= _flat(cast("dict[str, Any]", value), f"{name}.")
        else:
            found[name] = value
    return found
