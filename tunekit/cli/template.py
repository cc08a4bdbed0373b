"""The commented spec that `tunekit init` writes, made from the spec's own documentation."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import LoRA
from tunekit.spec.objectives import SFT

_HEAD = """\
# yaml-language-server: $schema=./tunekit.schema.json
#
# The line above lets editors complete this file; `tunekit schema > tunekit.schema.json` writes
# the schema. A key behind `#:` shows its default: to change it, take its `#:` away, and that of
# the section it stands in.
"""

_QUESTIONS = (
    ("Where is the key to my flat?", "Under the blue flower pot."),
    ("What time does the bakery open?", "At seven, and at eight on Sundays."),
    ("Who waters the plants in August?", "Mira does, every second evening."),
    ("Which bin is emptied on Monday?", "The brown one, in even weeks."),
    ("Where do I park the cargo bike?", "In the yard, behind the kiosk."),
    ("How do I turn on the heating?", "Turn the valve left and wait for the click."),
    ("When is the quiet hour?", "From one to three in the afternoon."),
    ("What is the name of the cat next door?", "Pepper, and she is not allowed in."),
)

ROWS = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        }
    )
    + "\n"
    for question, answer in _QUESTIONS
)
"""Conversations to begin with."""


def commented() -> str:
    """Write a spec with every key: those that matter set, the others as comments."""
    fields = FineTune.model_fields
    parts = [
        _HEAD,
        _entry(fields["model"], "model: embedded:smollm2-135m"),
        _entry(fields["data"], "data: train.jsonl"),
        _optional("start_from", fields["start_from"]),
        _section("method", fields["method"], LoRA),
        _section("objective", fields["objective"], SFT),
        _section("training", fields["training"]),
        _optional("validation", fields["validation"]),
        _section("evaluation", fields["evaluation"]),
        _section("output", fields["output"]),
        _optional("extra", fields["extra"]),
        "# Where it runs: a backend's name, or its settings: {type: local, devices: 2}.\n"
        "backend: local\n",
    ]
    return "\n".join(parts)


def _section(name: str, field: FieldInfo, kind: type[BaseModel] | None = None) -> str:
    """Write a part of the spec; one without a set key is commented out as a whole."""
    model = kind or cast("type[BaseModel]", field.annotation)
    lines = [_comment(field.description)]
    if kind is not None:
        lines += [f"{name}:", f"  type: {kind.model_fields['type'].default}"]
    else:
        lines += [f"#: {name}:"]
    for key, inner in model.model_fields.items():
        if key != "type":
            lines += [_comment(inner.description, "  "), f"#:   {key}: {_value(inner)}"]
    return "\n".join(line for line in lines if line) + "\n"


def _entry(field: FieldInfo, text: str) -> str:
    return f"{_comment(field.description)}\n{text}\n"


def _optional(name: str, field: FieldInfo) -> str:
    return _entry(field, f"#: {name}: {_value(field)}")


def _comment(text: str | None, indent: str = "") -> str:
    return "\n".join(_wrapped(text or "", indent))


def _wrapped(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), width=94 - len(indent)):
        yield f"# {indent}{line}"


def _value(field: FieldInfo) -> str:
    """Write a default as YAML, for which JSON will do."""
    default: Any = field.get_default(call_default_factory=True)
    return default if isinstance(default, str) else json.dumps(default)
