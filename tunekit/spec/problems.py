"""What pydantic found wrong with a spec, in words that name the place and the fix."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tunekit.errors import SpecError
from tunekit.spec.vocabulary import FOREIGN

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]
"""Where a value stands: `("training", "epochs")`."""


def spec_error(
    error: ValidationError,
    model: type[BaseModel],
    *,
    places: Mapping[Place, str] | None = None,
) -> SpecError:
    """Make one SpecError out of everything pydantic found.

    `places` maps where a value stands to where it was written: "support.yaml:7".
    """
    found: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_walk(detail["loc"], model)[0], []).append(detail)
    problems = [
        _written(details[0]["loc"], places) + f"{path}: {_complaint(path, details, model)}"
        for path, details in found.items()
        if not _goes_deeper(path, found)
    ]
    if len(problems) == 1:
        return SpecError(problems[0], problems)
    listed = "\n".join(f"  - {problem}" for problem in problems)
    return SpecError(f"{len(problems)} problems in the spec:\n{listed}", problems)


def _goes_deeper(path: str, paths: Mapping[str, Any]) -> bool:
    """Say whether another branch of a union fits so far that its own fault lies inside."""
    return any(other.startswith((f"{path}.", f"{path}[")) for other in paths)


def _written(loc: Sequence[str | int], places: Mapping[Place, str] | None) -> str:
    """Find where the value, or the nearest enclosing one, was written."""
    if not places:
        return ""
    place: Place = ()
    for part in loc:
        if (*place, part) in places:
            place = (*place, part)
    return f"{places[place]}: " if place in places else ""


def _complaint(path: str, details: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    """Say in one sentence what all branches of a union have against a value."""
    detail = details[0]
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown(path, _walk(detail["loc"], model)[1], model)
    if kind == "missing":
        return "is required"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_type(path, detail, _walk(detail["loc"], model)[1])
    if kind == "value_error":
        return str(detail.get("ctx", {}).get("error", detail["msg"]))
    if kind in ("model_type", "model_attributes_type") and detail["input"] is None:
        return "is empty; give it keys or remove it"
    wanted = _either([_plain(each["msg"]) for each in details])
    if detail["input"] is None:
        return f"is empty; it {wanted}"
    return f"{wanted}, not {_short(detail['input'])}{_unquote(wanted, detail['input'])}"


def _plain(message: str) -> str:
    text = message.replace("Input should be", "must be")
    text = re.sub(r" instance of (\w+)", _construct, text)
    for jargon, words in _WORDS.items():
        text = text.replace(jargon, words)
    return text[0].lower() + text[1:]


def _construct(match: re.Match[str]) -> str:
    return f" {match[1]}(...)"


def _either(complaints: Sequence[str]) -> str:
    """Join what the branches of a union said: "must be a number or 'auto'"."""
    first, *rest = dict.fromkeys(complaints)
    return " or ".join([first, *(text.removeprefix("must be ") for text in rest)])


def _unquote(wanted: str, value: Any) -> str:
    if "number" in wanted and isinstance(value, str) and re.match(r"[-+]?\.?\d", value):
        return ", which is text: write a number without quotes, separators or units"
    return ""


def _walk(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[str, type[BaseModel]]:
    """Give the dotted path as the user wrote it, and the model that owns its last key."""
    names: list[str] = []
    owner: type[BaseModel] = model
    current: tuple[type[BaseModel], ...] = (model,)
    for part in loc:
        if isinstance(part, int):
            names.append(f"[{part}]")
            continue
        tagged = tuple(m for m in current if _tag(m) == part)
        if tagged:
            current = tagged
            continue
        holder = next((m for m in current if part in m.model_fields), None)
        if holder is not None:
            owner = holder
            names.append(part)
            current = tuple(_models(holder.model_fields[part].annotation))
        elif not _is_branch(part):
            owner = current[0] if current else owner
            names.append(part)
    path = ".".join(names).replace(".[", "[")
    return path or model.__name__, owner


def _is_branch(part: str) -> bool:
    """Say whether pydantic put this into the path to name a branch of a union."""
    return part in _BRANCHES or any(mark in part for mark in "[-(") or part[:1].isupper()


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("type")
    return field.default if field is not None else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from _models(part)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _unknown(path: str, owner: type[BaseModel], model: type[BaseModel]) -> str:
    """Say what an unknown key is called here, or where it belongs."""
    key = path.rpartition(".")[2]
    known = list(owner.model_fields)
    tags = _types_with(key, owner)
    homes = [home for home in _fields(model) if home.rpartition(".")[2] == key]
    if tags:
        return f"unknown key; it belongs to type {tags[0]!r}: write type: {tags[0]}"
    if homes and key != "type":
        return f"unknown key; it belongs in {homes[0]!r}"
    if key in FOREIGN:
        return f"unknown key; here it is called {FOREIGN[key]}"
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if close:
        return f"unknown key; did you mean {close[0]!r}?"
    name = owner.model_config.get("title") or owner.__name__
    return f"unknown key; {name} knows {', '.join(known)}"


def _types_with(key: str, owner: type[BaseModel]) -> list[str]:
    """Give the tags of the other branches of the owner's union that have this key."""
    siblings = (
        model
        for model in _descendants(BaseModel)
        if _home(model) == _home(owner) and key in model.model_fields
    )
    return [tag for model in siblings if _tag(owner) and (tag := _tag(model))]


def _home(model: type[BaseModel]) -> str:
    """Give the module, or the folder of modules, that the branches of a union stand in."""
    return ".".join(model.__module__.split(".")[:3])


def _descendants(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for child in model.__subclasses__():
        yield child
        yield from _descendants(child)


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """List the dotted path of every field below a model."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for child in _models(field.annotation):
            yield from _fields(child, f"{prefix}{name}.")


def _unknown_type(path: str, detail: ErrorDetails, owner: type[BaseModel]) -> str:
    name = path.rpartition(".")[2]
    field = owner.model_fields[name]
    known = [_tag(branch) or "" for branch in _models(field.annotation)]
    given = detail.get("ctx", {}).get("tag")
    if given is None:
        usual = f"{name}: {{type: {field.default.type}, ...}}"
        return f"says no type; write {usual}, one of {', '.join(known)}"
    close = difflib.get_close_matches(str(given).lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    return f"unknown type {given!r}; {hint}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_BRANCHES = {"str", "int", "float", "bool", "none", "literal"}

_WORDS = {
    "a valid number": "a number",
    "a valid integer": "a whole number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid tuple": "a list",
    "a valid list": "a list",
    "a valid dictionary": "a mapping",
    "a mapping or object to extract fields from": "a name or a mapping with a type",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "String should have at least 1 character": "must not be empty",
    "Tuple should have at least 1 item after validation, not 0": "must be a list of names",
}
