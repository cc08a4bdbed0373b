"""Names to backends; nothing is imported until it is asked for."""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from tunekit.backends.backend import Backend
from tunekit.errors import MissingExtra, SpecError, UnknownBackend

GROUP = "tunekit.backends"
_VERBS = ("plan", "submit", "poll", "cancel", "fetch")

OURS = (
    EntryPoint("local", "tunekit.backends.local.parent:Local", GROUP),
    EntryPoint("unsloth", "tunekit.backends.local.parent:unsloth", GROUP),
    EntryPoint("together", "tunekit.backends.together.backend:Together", GROUP),
    EntryPoint("fireworks", "tunekit.backends.fireworks.backend:Fireworks", GROUP),
)
"""Written by hand, so that a new row needs no new installation."""


def names() -> list[str]:
    """List the names of all backends, ours and those of installed packages."""
    return sorted({point.name for point in _points()})


def resolve(backend: str | Mapping[str, Any] | Backend) -> Backend:
    """Turn a name, `{"type": name, **options}` or an object into a backend.

    Raises:
        UnknownBackend: no such name, or two packages claim it.
        MissingExtra: the package it needs is not installed.
        SpecError: an option is wrong.
    """
    if isinstance(backend, str):
        return _build(backend, {})
    if isinstance(backend, Mapping):
        options = dict(backend)
        name = options.pop("type", None)
        if not isinstance(name, str):
            raise SpecError("backend: says no type; write backend: {type: local, ...}")
        return _build(name, options)
    if all(callable(getattr(backend, verb, None)) for verb in _VERBS):
        return backend
    raise SpecError(
        f"backend: {type(backend).__name__} has not the verbs of a backend "
        "(plan, submit, poll, cancel, fetch); give a name or an object that has them"
    )


def recipe(backend: Backend) -> dict[str, Any]:
    """Say how to build the backend again in another process; never a secret.

    Taken from the object's dataclass fields; those with `repr=False` are left out.
    """
    kind: Any = type(backend)
    registered = kind.name in names() and _load(kind.name) is kind
    name = kind.name if registered else f"{kind.__module__}:{kind.__qualname__}"
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    options = {
        field.name: getattr(backend, field.name)
        for field in fields
        if field.init and field.repr and getattr(backend, field.name) != field.default
    }
    return {"type": name, **{key: value for key, value in options.items() if _is_json(value)}}


def _points() -> tuple[EntryPoint, ...]:
    return (*OURS, *_installed(tuple(sys.path)))


@cache
def _installed(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Look through all installed packages, which takes a while: once for a search path."""
    del path
    return tuple(entry_points(group=GROUP))


def _build(name: str, options: dict[str, Any]) -> Backend:
    factory = _load(name)
    try:
        return cast("Backend", factory(**options))
    except TypeError as error:
        raise SpecError(f"backend.{_bad_option(factory, options)}: {error}") from None


def _load(name: str) -> Any:
    if ":" in name:
        return _by_path(name)
    found = _claims(name)
    if not found:
        # A package may have been installed since.
        _installed.cache_clear()
        found = _claims(name)
    if len(found) > 1:
        raise UnknownBackend(
            f"two packages claim the backend {name!r}: {', '.join(found)}; uninstall one",
            backend=name,
        )
    if not found:
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UnknownBackend(
            f"no backend {name!r}; {hint}known: {', '.join(names())}", backend=name
        )
    (point,) = found.values()
    try:
        return point.load()
    except ImportError as error:
        package = point.dist.name if point.dist is not None else f"tunekit-sdk[{name}]"
        raise MissingExtra(
            f"backend {name!r} cannot be imported ({error}): pip install '{package}'",
            backend=name,
        ) from None


def _claims(name: str) -> dict[str, EntryPoint]:
    """Give those that claim a name, by what they are."""
    return {point.value: point for point in _points() if point.name == name}


def _by_path(path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownBackend(f"cannot import the backend {path!r}: {error}", backend=path) from None


def _bad_option(factory: Any, options: Mapping[str, Any]) -> str:
    if not dataclasses.is_dataclass(factory):
        return "options"
    known = [field.name for field in dataclasses.fields(factory)]
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            return f"{option} (did you mean {close[0]!r}?)" if close else option
    return "options"


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
