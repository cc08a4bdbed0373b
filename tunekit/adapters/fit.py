"""Whether an adapter or a model is the one that was asked for: kind, rank, layers and base."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tunekit.adapters import layers, origin
from tunekit.adapters.allowed import CONFIG, WEIGHTS
from tunekit.adapters.asked import Asked, Targets
from tunekit.adapters.config import AdapterConfig
from tunekit.adapters.header import Tensor
from tunekit.adapters.numbers import FLOATS
from tunekit.adapters.rename import is_another
from tunekit.errors import AdapterError

_SHOWN = 5
_OUTSIDE = re.compile(r"(^|\.)(embed\w*|wte|wpe|lm_head|score|output)$")
_SPARSE = re.compile(r"\.experts?\.|shared_expert_gate$|(^|\.)(gate|router)$")
"""Routers and experts: the methods that are said to train all layers differ about them."""

Pairs = Mapping[str, Mapping[str, Tensor]]


def require_adapter(
    folder: Path, config: AdapterConfig, tensors: Mapping[str, Tensor], asked: Asked
) -> None:
    """Stop unless an adapter has the base, the rank and exactly the layers that were asked for.

    The layers follow from the base's own tensors. Where they are not on this machine, each block
    must have the same layers, without holes.

    Raises:
        AdapterError: what differs, by name.
    """
    file = folder / WEIGHTS
    written = config.base_model_name_or_path
    if written and is_another(written, asked.base):
        raise AdapterError(
            f"{folder / CONFIG}: was trained on {written}; {asked.base} was asked for"
        )
    if asked.rank is not None and config.ranks != {asked.rank}:
        ranks = ", ".join(map(str, sorted(config.ranks)))
        raise AdapterError(f"{folder / CONFIG}: has rank {ranks}; rank {asked.rank} was asked for")
    found = layers.pairs(tensors.values())
    if whole := sorted(name for name in tensors if not layers.PAIR.fullmatch(name)):
        raise AdapterError(f"{file}: {_some(whole)}: whole layers were not asked for")
    base = origin.find(asked.base)
    matrices = layers.matrices(layers.weights(base)) if base else {}
    targets = asked.target_modules or _listed(config)
    if matrices:
        _require_of_base(found, matrices, targets, config, file)
    else:
        _require_even(found, targets, asked.layers, file)


def require_model(folder: Path, tensors: Mapping[str, Tensor], asked: Asked) -> None:
    """Stop unless a full model has the tensors of its base, and is not the base itself.

    Raises:
        AdapterError: what differs, by name.
    """
    base = origin.find(asked.base)
    wanted = layers.weights(base) if base else {}
    if not base or not wanted:
        _require_blocks(tensors, asked.layers, folder)
        return
    ours = {layers.tail(name): tensor for name, tensor in tensors.items()}
    theirs = {layers.tail(name): tensor for name, tensor in wanted.items()}
    tied = {"lm_head.weight"}
    _require_names(ours.keys() - tied, theirs.keys() - tied, folder)
    wrong = [
        f"{name} {list(ours[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in sorted(theirs.items())
        if name in ours and tensor.dtype in FLOATS and ours[name].shape != tensor.shape
    ]
    if wrong:
        raise AdapterError(f"{folder}: of another shape: {_some(wrong)}")
    if origin.fingerprint(folder) == origin.fingerprint(base):
        raise AdapterError(f"{folder}: is {asked.base}, unchanged: nothing was trained")


def named(targets: Targets, matrices: Mapping[str, Tensor], found: Collection[str]) -> set[str]:
    """Name the layers of a base that targets mean, as an adapter with the layers `found` does."""
    base = _aligned(matrices, found)
    return _all_linear(base, found) if targets == "all-linear" else _matching(base, targets, found)


def _listed(config: AdapterConfig) -> Targets | None:
    """Give the names that the config lists; a regular expression is not run."""
    named = config.target_modules
    if named == "all-linear":
        return "all-linear"
    return tuple(named) if isinstance(named, list) else None


def _require_of_base(
    found: Pairs,
    matrices: Mapping[str, Tensor],
    targets: Targets | None,
    config: AdapterConfig,
    file: Path,
) -> None:
    """The layers are those of the base that the targets name, and have its sizes."""
    base = _aligned(matrices, found)
    kinds = targets if targets is not None else tuple({n.rpartition(".")[2] for n in found})
    wanted = named(kinds, base, found)
    _require_names(found, wanted, file)
    if config.listed is not None:
        real = {
            name for name in _matching(base, config.listed, found) if name in base or name in found
        }
        _require_names(found, real, file.with_name(CONFIG))
    for module, parts in found.items():
        if tensor := base.get(module):
            _require_sizes(module, parts, tensor, config, file)


def _aligned(matrices: Mapping[str, Tensor], found: Collection[str]) -> Mapping[str, Tensor]:
    """Give the base's layers under the names that the adapter has for them."""
    if matrices.keys() & set(found):
        return matrices
    prefixes = Counter(name.removesuffix(layers.tail(name)) for name in found if _in_block(name))
    if not prefixes:
        return matrices
    prefix = prefixes.most_common(1)[0][0]
    return {
        (prefix + layers.tail(name) if _in_block(name) else name): tensor
        for name, tensor in matrices.items()
    }


def _in_block(name: str) -> bool:
    return layers.place(name) is not None


def _all_linear(base: Mapping[str, Tensor], found: Collection[str]) -> set[str]:
    """Name the linear layers of every block; experts and routers only where the adapter has any."""
    names = {name for name in base if _in_block(name) and not _OUTSIDE.search(name)}
    if any(_SPARSE.search(name) for name in found):
        return names
    return {name for name in names if not _SPARSE.search(name)}


def _matching(base: Mapping[str, Tensor], kinds: Iterable[str], found: Collection[str]) -> set[str]:
    """Name the layers that PEFT would find for these names: whole, or the last parts."""
    wanted: set[str] = set()
    for kind in kinds:
        end = f".{kind}"
        matches = {name for name in base if name == kind or name.endswith(end)}
        # The head of a model with tied embeddings has no tensor of its own.
        wanted |= matches or {n for n in found if n == kind == "lm_head"} or {kind}
    return wanted


def _require_sizes(
    module: str, parts: Mapping[str, Tensor], base: Tensor, config: AdapterConfig, file: Path
) -> None:
    """A is [r, in] and B [out, r], of a layer [out, in]; embeddings are turned round."""
    if base.dtype not in FLOATS:
        return
    rows, columns = base.shape
    turned = config.fan_in_fan_out or "lora_embedding" in parts["A"].name
    found = (parts["B"].shape[0], parts["A"].shape[-1])
    if found != ((columns, rows) if turned else (rows, columns)):
        raise AdapterError(
            f"{file}: {module}: is for a layer {list(found)}; that of the base is {[rows, columns]}"
        )


def _require_even(found: Pairs, targets: Targets | None, number: int | None, file: Path) -> None:
    """Each block has the same layers, of one size, and the targets are found."""
    kinds = {name.rpartition(".")[2] for name in found}
    if isinstance(targets, tuple):
        ends = tuple(f".{target}" for target in targets)
        extra = sorted(n for n in found if n not in targets and not n.endswith(ends))
        missing = sorted(t for t in targets if not any(f".{n}".endswith(f".{t}") for n in found))
        _require_none(missing, extra, file)
    blocks = _blocks(found)
    if not blocks:
        raise AdapterError(f"{file}: has layers in no block: {_some(sorted(kinds))}")
    _require_count(blocks, number, file)
    every = Counter(frozenset(kinds) for kinds in blocks.values())
    for block, kinds in sorted(blocks.items()):
        fuller = next((other for other in every if kinds < other), None)
        # Models of several kinds of blocks repeat each of them.
        if fuller and every[frozenset(kinds)] < max(2, len(blocks) / 8):
            raise AdapterError(f"{file}: block {block}: missing: {_some(sorted(fuller - kinds))}")
    _require_one_size(found, file)


def _blocks(names: Iterable[str]) -> dict[int, set[str]]:
    """Give the names of the layers in each block."""
    blocks: dict[int, set[str]] = {}
    for number, kind in filter(None, map(layers.place, names)):
        blocks.setdefault(number, set()).add(kind)
    return blocks


def _require_count(blocks: Mapping[int, object], number: int | None, file: Path) -> None:
    count = number if number is not None else max(blocks) + 1
    missing = [f"block {n}" for n in range(min(count, max(blocks) + 2)) if n not in blocks]
    extra = [f"block {n}" for n in sorted(blocks) if n >= count]
    if number is not None and max(blocks) + 1 < number and not missing:
        missing = [f"block {number - 1}"]
    _require_none(missing, extra, file)


def _require_one_size(found: Pairs, file: Path) -> None:
    sizes: dict[str, tuple[int, int]] = {}
    for module, parts in sorted(found.items()):
        where = layers.place(module)
        size = (parts["B"].shape[0], parts["A"].shape[-1])
        if where and sizes.setdefault(where[1], size) != size:
            raise AdapterError(
                f"{file}: {module}: is for a layer {list(size)}; "
                f"in other blocks it is {list(sizes[where[1]])}"
            )


def _require_blocks(tensors: Mapping[str, Tensor], number: int | None, folder: Path) -> None:
    if blocks := _blocks(tensors):
        _require_count(blocks, number, folder)


def _require_names(found: Collection[str], wanted: Collection[str], file: Path) -> None:
    _require_none(sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted)), file)


def _require_none(missing: list[str], extra: list[str], file: Path) -> None:
    if missing:
        raise AdapterError(f"{file}: missing: {_some(missing)}")
    if extra:
        raise AdapterError(f"{file}: not asked for: {_some(extra)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
