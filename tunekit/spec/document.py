"""A spec as a file: YAML or JSON in and out, overrides, JSON Schema."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, ConfigDict, ValidationError, WithJsonSchema

from tunekit.errors import SpecError
from tunekit.spec.finetune import FineTune
from tunekit.spec.problems import Place, spec_error
from tunekit.spec.yaml import Tree, dump, parse, scalar

SCHEMA_ID = "urn:tunekit:schema:spec"


@dataclass(frozen=True)
class Document:
    """A spec, and the backend its file names."""

    spec: FineTune
    backend: str | dict[str, Any] = "local"


def _a_backend(value: Any) -> Any:
    if value is None:
        raise ValueError("is empty; give a name such as local, or remove it")
    name: Any = value
    if isinstance(value, dict):
        name = cast("dict[str, Any]", value).get("type")
    if name is None:
        raise ValueError("says no type; write backend: {type: local, ...}")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"must be a name, or a mapping with a type, not {name!r}")
    return cast("Any", value)


_BACKEND_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
    ]
}


class _File(FineTune):
    """A fine-tune, and where it runs."""

    model_config = ConfigDict(title="tunekit spec")

    backend: Annotated[Any, BeforeValidator(_a_backend), WithJsonSchema(_BACKEND_SCHEMA)] = "local"
    """Where it runs: a backend's name, or its settings: `{type: local, devices: 2}`."""


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Document:
    """Read a spec from a YAML or JSON file.

    A relative path of data (or a model written as `./folder`) means the folder of the file when
    it exists there, and the current folder when not.

    Args:
        path: the file.
        overrides: `training.epochs=3`, applied in order; see `loads`.

    Raises:
        SpecError: the file cannot be read, or the spec is wrong; names file, line and key.
    """
    file = Path(path)
    return _document(_read(file), os.fspath(path), overrides, folder=file.parent)


def loads(text: str, source: str = "<text>", overrides: Sequence[str] = ()) -> Document:
    """Read a spec from YAML, or from JSON when `source` ends in `.json`.

    Values of overrides are read as YAML reads them: `training.learning_rate=1e-4`,
    `method=qlora`, `method.target_modules=[q_proj, v_proj]`, `validation=null`.

    Raises:
        SpecError: naming `source`, line and key of every fault.
    """
    return _document(text, source, overrides, folder=None)


def dumps(spec: FineTune, *, backend: str | dict[str, Any] | None = None) -> str:
    """Write what was set in a spec as YAML; `loads` gives an equal spec."""
    values = {name: _brief(name, value) for name, value in spec.minimal().items()}
    if backend is not None:
        values["backend"] = backend
    return dump(values)


def schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of a spec file, for editors to complete and check it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **_File.model_json_schema(),
    }


_SHORTHAND = {
    "method": "type",
    "objective": "type",
    "backend": "type",
    "data": "source",
    "validation": "source",
}
"""Sections that may be written as one word, and the key that the word stands for."""


def _brief(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    section = cast("dict[str, Any]", value)
    key = _SHORTHAND.get(name)
    if key and list(section) == [key]:
        return section[key]
    if "type" in section:
        return {"type": section["type"], **section}
    return section


def _document(text: str, source: str, overrides: Sequence[str], *, folder: Path | None) -> Document:
    tree = _parse_json(text, source) if source.endswith(".json") else parse(text, source)
    values = _keys(tree, source)
    places = {place: f"{source}:{line}" for place, line in tree.lines.items()}
    if folder is not None:
        _point_beside(values, folder)
    for override in overrides:
        _override(values, places, override)
    try:
        backend = _File.model_validate(values).backend
        values.pop("backend", None)
        return Document(FineTune.model_validate(values), backend)
    except ValidationError as error:
        raise spec_error(error, _File, places=places) from None


def _keys(tree: Tree, source: str) -> dict[str, Any]:
    if tree.value is None:
        raise SpecError(
            f"{source}:1:1: is empty; write at least model and data "
            "(`tunekit init` writes a commented file)"
        )
    if not isinstance(tree.value, dict):
        kind = "a list" if isinstance(tree.value, list) else "one value"
        raise SpecError(f"{source}:1:1: is {kind}, not keys; begin with `model: ...`")
    return cast("dict[str, Any]", tree.value)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > 4_000_000:
            raise SpecError(f"{file}: is larger than 1 MB; name the rows' file under data instead")
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"{file}: there is no such file{_nearest(file)}") from None
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8; save the file as UTF-8"
        raise SpecError(f"{file}: {problem}") from None
    except OSError as error:
        raise SpecError(f"{file}: cannot be read: {error.strerror}") from None


def _nearest(file: Path) -> str:
    with contextlib.suppress(OSError):
        names = [path.name for path in file.parent.iterdir() if path.is_file()]
        if close := difflib.get_close_matches(file.name, names, n=1):
            return f"; did you mean {str(file.parent / close[0])!r}?"
    return "; `tunekit init` writes one"


def _parse_json(text: str, source: str) -> Tree:
    """Take the values from JSON, and the lines from YAML, of which JSON is a part."""

    def refuse(word: str) -> Any:
        line = text[: text.find(word)].count("\n") + 1
        raise SpecError(f"{source}:{line}: {word} is not a finite number; give one that is")

    try:
        value = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        place = f"{source}:{error.lineno}:{error.colno}"
        raise SpecError(f"{place}: not JSON: {error.msg}; check commas and quotes") from None
    except RecursionError:
        raise SpecError(f"{source}:1: hundreds of levels; a spec needs five") from None
    # Tabs are spaces to JSON, which allows none inside a string, but not to YAML.
    return Tree(value, parse(text.replace("\t", " "), source).lines)


def _point_beside(values: dict[str, Any], folder: Path) -> None:
    """Let paths mean the folder of the file where they exist there."""
    for name in ("data", "validation"):
        holder, key = values, name
        if isinstance(values.get(name), dict):
            holder, key = values[name], "source"
        if isinstance(source := holder.get(key), str):
            holder[key] = _beside(source, folder)
    model = values.get("model")
    if isinstance(model, str) and model.startswith("."):
        values["model"] = _beside(model, folder)


def _beside(path: str, folder: Path) -> str:
    # A name may be too long for the system, or no path at all.
    with contextlib.suppress(OSError, ValueError):
        if not Path(path).is_absolute() and _exists(folder, path):
            return str(folder / path)
    return path


def _exists(folder: Path, path: str) -> bool:
    if any(sign in path for sign in "*?["):
        return any(True for _ in folder.glob(path))
    return bool(path) and (folder / path).exists()


def _override(values: dict[str, Any], places: dict[Place, str], text: str) -> None:
    path, equals, raw = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SpecError(f"--set {text}: write path=value, such as --set training.epochs=3")
    holder = values
    for depth, key in enumerate(keys[:-1]):
        holder = _enter(holder, key, text, top=depth == 0)
    holder[keys[-1]] = _value(raw.strip(), text)
    for place in [place for place in places if place[: len(keys)] == tuple(keys)]:
        del places[place]
    for end in range(1, len(keys)):
        places.setdefault(tuple(keys[:end]), f"--set {text}")
    places[tuple(keys)] = f"--set {text}"


def _enter(holder: dict[str, Any], key: str, text: str, *, top: bool) -> dict[str, Any]:
    """Go into a section; one written as a word, or not at all, becomes a mapping."""
    value: Any = holder.get(key)
    word = _SHORTHAND.get(key) if top else None
    if value is None:
        default = _File.model_fields[key].get_default() if word == "type" else None
        value = {} if default is None else {"type": getattr(default, "type", default)}
    elif word and value != "auto" and isinstance(value, (str, list)):
        value = {word: cast("Any", value)}
    if not isinstance(value, dict):
        raise SpecError(f"--set {text}: {key} is {value!r}, which has no keys; set {key} itself")
    holder[key] = value
    return cast("dict[str, Any]", value)


def _value(raw: str, text: str) -> Any:
    """Read a value; only brackets and quotes make it more than one word."""
    if raw.startswith(("[", "{", '"', "'")):
        return parse(raw, f"--set {text}").value
    try:
        return scalar(raw)
    except ValueError:
        raise SpecError(f"--set {text}: {raw[:40]} is not a finite number") from None
