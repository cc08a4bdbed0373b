"""Whether tensors make the adapter that its config says: names, shapes, and something learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tunekit.adapters.allowed import CONFIG
from tunekit.adapters.header import Tensor
from tunekit.adapters.numbers import FLOATS, is_one, is_zero
from tunekit.adapters.peft_types.base import Dimensions, Group, PeftTypeConfig, Tensors
from tunekit.errors import AdapterError

_PREFIX = "base_model.model."

Layers = dict[str, dict[str, Tensor]]


def layers(tensors: Iterable[Tensor], config: PeftTypeConfig) -> Layers:
    """Give the tensors of each layer, by the part of it that they are."""
    found: Layers = {}
    for tensor in tensors:
        if place := _place(tensor.name, config):
            module, part = place
            found.setdefault(module, {})[part] = tensor
    return found


def require_tensors(tensors: Mapping[str, Tensor], config: PeftTypeConfig, file: Path) -> None:
    """Stop unless the tensors are those of the config's method, of its sizes, and were trained.

    Raises:
        AdapterError: a tensor is missing, left over, of another shape, not of floats, or nothing
            was learnt.
    """
    for name, tensor in tensors.items():
        if not (name in config.shared or _place(name, config) or _is_saved(name, config)):
            raise AdapterError(f"{file}: {name} is no part of an adapter of {config.method}")
        if tensor.dtype not in FLOATS:
            raise AdapterError(f"{file}: {name} is {tensor.dtype}; floats are expected")
    for name, shape in config.shared.items():
        if name not in tensors:
            raise AdapterError(f"{file}: {name} is missing")
        _require_shape(tensors[name], shape, dict(config.dimensions("")), file)
    found = layers(tensors.values(), config)
    if config.groups and not found:
        raise AdapterError(f"{file}: holds no layer of {config.method}")
    for module, parts in found.items():
        _require_layer(module, parts, config, file)
    if found and config.idle and _untrained(found, config.idle, file):
        raise AdapterError(
            f"{file}: every {config.idle[0]} is {config.idle[1]:g}: this adapter was never "
            "trained, or only with a learning rate of zero"
        )


def _place(name: str, config: PeftTypeConfig) -> tuple[str, str] | None:
    """Split a name into layer and part."""
    if not name.startswith(_PREFIX):
        return None
    for group in config.groups:
        for part in {part for tensors in group for part in tensors}:
            if name.endswith(f".{part}"):
                return name[len(_PREFIX) : -len(part) - 1], part
    return None


def _is_saved(name: str, config: PeftTypeConfig) -> bool:
    """Say whether a tensor is one of the whole layers that the config declares."""
    saved = config.modules_to_save or ()
    return name.startswith(_PREFIX) and any(part in saved for part in name.split("."))


def _require_layer(
    module: str, parts: Mapping[str, Tensor], config: PeftTypeConfig, file: Path
) -> None:
    """Each group has one of its alternatives, and all shapes agree."""
    known = dict(config.dimensions(module))
    for group in config.groups:
        every = {part for tensors in group for part in tensors}
        there = set(parts) & every
        fitting = [tensors for tensors in group if set(tensors) == there]
        if not fitting:
            raise AdapterError(f"{file}: {module}: {_missing(group, there)} is missing or extra")
        found = [sizes for shapes in fitting if (sizes := _agree(parts, shapes, known)) is not None]
        if not found:
            part, shape = next(iter(fitting[-1].items()))
            raise _misshapen(parts[part], shape, known, file)
        known = found[0]


def _agree(
    parts: Mapping[str, Tensor], shapes: Tensors, known: Mapping[str, int]
) -> dict[str, int] | None:
    """Give the numbers that the names in shapes stand for; None where tensors disagree."""
    trial = dict(known)
    agree = all(_fits(parts[part], shape, trial) for part, shape in shapes.items())
    return trial if agree else None


def _missing(group: Group, there: set[str]) -> str:
    nearest = min(group, key=lambda tensors: len(tensors.keys() ^ there))
    return ", ".join(sorted(nearest.keys() ^ there))


def _require_shape(tensor: Tensor, shape: Dimensions, known: dict[str, int], file: Path) -> None:
    if not _fits(tensor, shape, known):
        raise _misshapen(tensor, shape, known, file)


def _fits(tensor: Tensor, shape: Dimensions, known: dict[str, int]) -> bool:
    """Say whether a tensor has a shape; names that nothing is known of take its numbers."""
    if len(tensor.shape) != len(shape):
        return False
    for found, wanted in zip(tensor.shape, shape, strict=True):
        if wanted == "*":
            continue
        if isinstance(wanted, str):
            wanted = known.setdefault(wanted, found)
        if found != wanted:
            return False
    return True


def _misshapen(
    tensor: Tensor, shape: Dimensions, known: Mapping[str, int], file: Path
) -> AdapterError:
    wanted = ", ".join(str(known.get(str(size), size)) for size in shape)
    return AdapterError(
        f"{file}: {tensor.name} is {list(tensor.shape)}, not [{wanted}] as {CONFIG} and the other "
        "tensors have it"
    )


def _untrained(found: Layers, idle: tuple[str, float], file: Path) -> bool:
    part, value = idle
    same = is_one if value else is_zero
    return all(same(file, parts[part]) for parts in found.values())
