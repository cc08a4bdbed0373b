"""Scores of one answer against one reference, where answers are JSON objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast


def parsed(text: str) -> dict[str, Any] | None:
    """Read a JSON object; None for anything else, however near."""
    try:
        value: Any = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "number"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)
"""What JSON calls the types; a bool is an int too, so it comes first."""


def valid(answer: str, reference: str) -> float:
    """The answer is a JSON object and nothing else."""
    return float(parsed(answer) is not None)


def keys(answer: str, reference: str) -> float:
    """It has the top-level keys of the reference and no others."""
    said, wanted = parsed(answer), parsed(reference)
    return float(said is not None and wanted is not None and said.keys() == wanted.keys())


def values(answer: str, reference: str) -> float:
    """The share of all keys, of answer or reference, whose values are equal as JSON."""
    said, wanted = parsed(answer), parsed(reference)
    if said is None or wanted is None:
        return 0.0
    every = said.keys() | wanted.keys()
    equal = [_written(said[key]) == _written(wanted[key]) for key in said.keys() & wanted.keys()]
    return sum(equal) / len(every) if every else 1.0


def equal(answer: str, reference: str) -> float:
    """It is equal to the reference as JSON, whatever the order of keys."""
    said, wanted = parsed(answer), parsed(reference)
    return float(said is not None and wanted is not None and _written(said) == _written(wanted))


def schema(references: Sequence[str]) -> dict[str, Any]:
    """Give the JSON Schema that all references keep: keys, which of them are always there, types.

    Nested values are held to their type alone.
    """
    objects = [found for text in references if (found := parsed(text)) is not None]
    named = sorted({key for found in objects for key in found})
    types = {key: sorted({_type(found[key]) for found in objects if key in found}) for key in named}
    return {
        "type": "object",
        "properties": {key: {"type": kinds} for key, kinds in types.items()},
        "required": [key for key in named if all(key in found for found in objects)],
        "additionalProperties": False,
    }


def validator(wanted: Mapping[str, Any]) -> Any:
    """Give a score that is 1 where an answer keeps a JSON Schema."""
    from jsonschema.validators import validator_for

    kind: Any = validator_for(cast("Any", wanted))
    checker = kind(wanted)

    def score(answer: str, reference: str) -> float:
        found = parsed(answer)
        return float(found is not None and bool(checker.is_valid(found)))

    return score


def _type(value: Any) -> str:
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return "null"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _written(value: Any) -> str:
    """Write JSON in one way, so that 1, 1.0 and true stay apart."""
    return json.dumps(value, sort_keys=True)
