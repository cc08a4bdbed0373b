"""Names of metrics: those that are built in, and functions of the user's."""

from __future__ import annotations

import difflib
import re
import sys
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tunekit.spec.strict import Auto

METRICS = (
    *("loss", "exact_match", "accuracy", "macro_f1", "numeric_match"),
    *("json_values", "json_valid", "json_schema", "json_keys"),
    *("chrf", "rouge_l", "word_f1", "preference_accuracy", "preference_margin"),
    *("judged_margin", "reward"),
)
"""What can be measured without code of the user's."""

_FUNCTION = re.compile(r"(?:[A-Za-z_][\w.]*|[^:]+\.py):[A-Za-z_][\w.]*")


def _metric(value: Any) -> Any:
    """Take a metric by name, or a function by the name that it can be imported by."""
    if callable(value):
        return _importable(value)
    if not isinstance(value, str) or value in METRICS or _FUNCTION.fullmatch(value):
        return value
    near = difflib.get_close_matches(value, METRICS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(METRICS)};"
    raise ValueError(f"{value!r} is no metric; {hint} or write 'module:function'")


def _importable(function: Any) -> str:
    module, name = (str(getattr(function, f"__{key}__", "")) for key in ("module", "qualname"))
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if module == "__main__" or found is not function:
        raise ValueError(
            f"{name or function!r} cannot be imported by name where the model is measured; "
            "put it at the top of a file and write 'file.py:function'"
        )
    return f"{module}:{name}"


def _one(value: Any) -> Any:
    """Take one metric without a list around it."""
    single = callable(value) or (isinstance(value, str) and value != "auto")
    return (value,) if single else value


MetricName = Annotated[str, BeforeValidator(_metric, json_schema_input_type=str)]
Metrics = Annotated[
    Auto | Annotated[tuple[MetricName, ...], Field(strict=False, min_length=1)],
    BeforeValidator(_one, json_schema_input_type=str | list[str]),
]
