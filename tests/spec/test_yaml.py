"""YAML is read as version 1.2 has it, and written so that it reads back."""

from __future__ import annotations

import math

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.strategies import CALM
from tunekit.errors import SpecError
from tunekit.spec.yaml import dump, parse, scalar

# https://yaml.org/spec/1.2.2/, example 10.9 (core schema), and what 1.1 would make of the rest.
CORE = [
    ("null", None),
    ("~", None),
    ("", None),
    ("true", True),
    ("False", False),
    ("0", 0),
    ("0o7", 7),
    ("0x3A", 58),
    ("-19", -19),
    ("0.", 0.0),
    ("-0.0", -0.0),
    (".5", 0.5),
    ("+12e03", 12000.0),
    ("-2E+05", -200000.0),
    ("1e-4", 0.0001),
    ("012", 12),
    ("yes", "yes"),
    ("off", "off"),
    ("1_000", "1_000"),
    ("1:30", "1:30"),
    ("2024-01-31", "2024-01-31"),
    ("0b11", "0b11"),
    ("1e", "1e"),
    ("nan", "nan"),
]


@pytest.mark.parametrize(("text", "value"), CORE)
def test_a_plain_value_is_what_the_core_schema_says(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)
    assert parse(f"key: {text}\n", "x").value == {"key": value}


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN", "1e400", "-1e400"])
def test_what_is_not_finite_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        scalar(text)


def test_quotes_make_text_of_anything() -> None:
    assert parse("""[null, "1", '1e-4', "true", "", '~']""", "x").value == [
        None, "1", "1e-4", "true", "", "~",
    ]  # fmt: skip


def test_every_key_and_item_has_its_line() -> None:
    tree = parse("a: 1\n\n# note\nb:\n  c: [1,\n    2]\n  d:\n    - e: 3\n", "x")
    assert tree.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 4,
        ("b", "c"): 5,
        ("b", "c", 0): 5,
        ("b", "c", 1): 6,
        ("b", "d"): 7,
        ("b", "d", 0): 8,
        ("b", "d", 0, "e"): 8,
    }


def test_keys_stay_text() -> None:
    assert parse("{1: a, true: b, null: c}", "x").value == {"1": "a", "true": "b", "null": "c"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(one: object, other: object) -> bool:
    return one == other and repr(one) == repr(other)


@CALM
@given(JSON)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    assert same(parse(dump(value), "x").value, value)


@CALM
@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_a_yaml_1_1_reader_reads_the_same(text: str, number: float, count: int) -> None:
    value = {"text": text, "number": number, "count": count}
    assert same(pyyaml.safe_load(dump(value)), value)


@CALM
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        parse(text, "x.yaml")
    except SpecError as error:
        assert str(error).startswith("x.yaml:")


def test_a_number_that_is_not_finite_is_not_written() -> None:
    with pytest.raises(SpecError, match="inf is not a finite number"):
        dump({"rate": math.inf})
