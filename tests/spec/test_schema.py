"""The JSON Schema says what the spec says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given

from tests.spec.strategies import BACKENDS, CALM, SPECS
from tunekit.spec.document import dumps, schema
from tunekit.spec.finetune import FineTune
from tunekit.spec.yaml import parse

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def test_it_is_a_schema_of_the_2020_12_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema()["$id"] == "urn:tunekit:schema:spec"
    assert schema()["title"] == "tunekit spec"


def objects(part: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        if "properties" in part and "title" in part:
            yield place, part
        for name, inner in part.items():
            yield from objects(inner, f"{place}/{name}")


def test_every_field_has_a_description() -> None:
    bare = [
        f"{place}/{name}"
        for place, part in objects(schema())
        for name, field in part["properties"].items()
        if not field.get("description")
    ]
    assert bare == []


def test_no_object_takes_keys_it_does_not_know() -> None:
    parts = dict(objects(schema()))
    assert len(parts) >= 9
    assert [place for place, part in parts.items() if part["additionalProperties"]] == []


@CALM
@given(SPECS, BACKENDS)
def test_every_valid_spec_fits(spec: FineTune, backend: str | dict[str, Any] | None) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(
        parse(dumps(spec, backend=backend), "spec.yaml").value
    )


SCHEMA = schema()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_fit(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(parse(path.read_text(encoding="utf-8"), str(path)).value)


@pytest.mark.parametrize(
    "values",
    [
        {"method": "lora"},
        {"method": {"type": "lora"}},
        {"method": {"type": "qlora", "rank": "auto"}},
        {"objective": "dpo"},
        {"objective": {"type": "dpo"}},
        {"objective": "simpo"},
        {"objective": {"type": "orpo"}},
        {"objective": {"type": "dpo", "length_normalized": True, "sft_weight": 1}},
        {"data": {"source": "rows.jsonl"}},
        {"data": [{"text": "a"}]},
        {"validation": 0.1},
        {"validation": None},
        {"validation": "held-out.jsonl"},
        {"backend": "local"},
        {"backend": {"type": "local", "devices": 2}},
    ],
    ids=str,
)
def test_shorthand_and_long_form_fit(
    values: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    validator.validate({"model": "acme/small", "data": "rows.jsonl", **values})
