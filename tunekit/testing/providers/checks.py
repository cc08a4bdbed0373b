"""What a provider lets through: JSON objects with known keys and the right kinds of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, cast


class Refused(Exception):
    """A request that the provider answers with an error."""

    def __init__(self, status: int, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param


@dataclass(frozen=True)
class Value:
    """A key whose value is of one kind."""

    kind: str
    holds: Callable[[Any], bool]
    required: bool = False


@dataclass(frozen=True)
class Nested:
    """A key with an object: its keys, or its keys by the value of a tag."""

    keys: Mapping[str, Keys] | None = None
    tag: str = ""
    variants: Mapping[str, Mapping[str, Keys]] | None = None
    required: bool = False
    nullable: bool = False


@dataclass(frozen=True)
class Listed:
    """A key with a list of objects."""

    keys: Mapping[str, Keys]
    required: bool = False


Keys = Value | Nested | Listed
Table = Mapping[str, Keys]


def text(*, required: bool = False) -> Value:
    """Any string."""
    return Value("a string", lambda value: isinstance(value, str), required)


def integer(*, required: bool = False) -> Value:
    """An integer; true and false are none."""
    return Value("an integer", _integer, required)


def number(*, required: bool = False) -> Value:
    """An integer or a float."""
    return Value("a number", lambda value: isinstance(value, float) or _integer(value), required)


def boolean(*, required: bool = False) -> Value:
    """True or false."""
    return Value("true or false", lambda value: isinstance(value, bool), required)


def one_of(*words: object, required: bool = False) -> Value:
    """One of these, of the same type."""
    told = "one of " + ", ".join(repr(word) for word in words)
    return Value(told, lambda value: any(_same(value, word) for word in words), required)


def either(first: Value, second: Value, *, required: bool = False) -> Value:
    """One kind or the other."""
    told = f"{first.kind} or {second.kind}"
    return Value(told, lambda value: first.holds(value) or second.holds(value), required)


def anything(*, required: bool = False) -> Value:
    """Whatever JSON holds."""
    return Value("anything", lambda value: True, required)


def check(body: Any, table: Table, *, at: str = "") -> dict[str, Any]:
    """Give the body if its keys and kinds are those of the table.

    Raises:
        Refused: 400, with the dotted name of the field.
    """
    if not isinstance(body, dict):
        raise Refused(400, f"{at or 'the body'} must be a JSON object", param=at or None)
    found = cast("dict[str, Any]", body)
    for name in found:
        if name not in table:
            place = _dotted(at, name)
            raise Refused(400, f"{place}: extra fields are not permitted", param=place)
    for name, keys in table.items():
        _check_key(found, name, keys, at)
    return found


def _check_key(body: Mapping[str, Any], name: str, keys: Keys, at: str) -> None:
    place = _dotted(at, name)
    if name not in body:
        if keys.required:
            raise Refused(400, f"{place}: field required", param=place)
        return
    value = body[name]
    if isinstance(keys, Value):
        if not keys.holds(value):
            raise Refused(400, f"{place}: must be {keys.kind}, not {value!r}", param=place)
    elif isinstance(keys, Listed):
        _check_list(value, keys, place)
    elif not (value is None and keys.nullable):
        _check_nested(value, keys, place)


def _check_list(value: Any, keys: Listed, place: str) -> None:
    if not is_list(value):
        raise Refused(400, f"{place}: must be a list", param=place)
    for index, item in enumerate(value):
        check(item, keys.keys, at=f"{place}.{index}")


def _check_nested(value: Any, keys: Nested, place: str) -> None:
    if not keys.tag:
        check(value, keys.keys or {}, at=place)
        return
    variants = keys.variants or {}
    word = cast("dict[str, Any]", value).get(keys.tag) if isinstance(value, dict) else None
    if word not in variants:
        tag = _dotted(place, keys.tag)
        raise Refused(400, f"{tag}: must be one of {', '.join(variants)}, not {word!r}", param=tag)
    check(value, variants[cast("str", word)], at=place)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value of JSON is a list."""
    return isinstance(value, list)


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _same(value: Any, word: object) -> bool:
    return type(value) is type(word) and value == word


def _dotted(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
