"""Whether tensors make a bottleneck adapter: names, shapes, and something learnt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tunekit.adapters.bottleneck.config import BottleneckConfig
from tunekit.adapters.header import Tensor
from tunekit.adapters.layers import place
from tunekit.adapters.numbers import FLOATS, is_zero
from tunekit.errors import AdapterError

_NAME = re.compile(
    r"base_model\.model\.(?P<module>.+)\.bottleneck_(?P<part>(?:down|up)\.(?:weight|bias))"
)
_PARTS = frozenset({"down.weight", "down.bias", "up.weight", "up.bias"})

Networks = dict[str, dict[str, Tensor]]


def networks(tensors: Iterable[Tensor]) -> Networks:
    """Give the four tensors of each network by the sub-layer that it stands behind."""
    found: Networks = {}
    for tensor in tensors:
        if match := _NAME.fullmatch(tensor.name):
            found.setdefault(match["module"], {})[match["part"]] = tensor
    return found


def require_networks(tensors: Mapping[str, Tensor], config: BottleneckConfig, file: Path) -> None:
    """Stop unless the tensors are those that the config says, in every block, and were trained.

    Raises:
        AdapterError: a tensor is missing, left over, of another shape, not of floats, or nothing
            was learnt.
    """
    heads = {f"base_model.model.{name}.weight" for name in config.modules_to_save or ()}
    for name, tensor in tensors.items():
        if not _NAME.fullmatch(name) and name not in heads:
            raise AdapterError(f"{file}: {name} is no part of a bottleneck adapter")
        if tensor.dtype not in FLOATS:
            raise AdapterError(f"{file}: {name} is {tensor.dtype}; floats are expected")
    if heads and not heads & tensors.keys():
        raise AdapterError(f"{file}: {min(heads)} is missing: the head of a reward model")
    found = networks(tensors.values())
    if not found:
        raise AdapterError(f"{file}: holds no bottleneck_down and bottleneck_up")
    for module, parts in found.items():
        if missing := sorted(_PARTS - parts.keys()):
            raise AdapterError(f"{file}: {module}: bottleneck_{missing[0]} is missing")
    _require_shapes(found, config, file)
    _require_every_block(found, config, file)
    ups = [part for parts in found.values() for part in (parts["up.weight"], parts["up.bias"])]
    if all(is_zero(file, tensor) for tensor in ups):
        raise AdapterError(
            f"{file}: every bottleneck_up is zero: this adapter was never trained, "
            "or only with a learning rate of zero"
        )


def _require_shapes(found: Networks, config: BottleneckConfig, file: Path) -> None:
    """Every network is h wide outside and `size` wide inside, with one h for all."""
    size = config.size
    hidden = next(iter(found.values()))["up.bias"].count
    wanted = {
        "down.weight": (size, hidden),
        "down.bias": (size,),
        "up.weight": (hidden, size),
        "up.bias": (hidden,),
    }
    for parts in found.values():
        for part, shape in wanted.items():
            if parts[part].shape != shape:
                raise AdapterError(
                    f"{file}: {parts[part].name} is {list(parts[part].shape)}; "
                    f"with size {size} and {hidden} outside it is {list(shape)}"
                )


def _require_every_block(found: Networks, config: BottleneckConfig, file: Path) -> None:
    """The blocks are numbered without holes, and each has the networks of the placement."""
    count = 2 if config.placement == "houlsby" else 1
    blocks: Counter[int] = Counter()
    for module in found:
        where = place(module)
        if where is None:
            raise AdapterError(f"{file}: {module} lies in no block")
        blocks[where[0]] += 1
    for number in range(max(blocks) + 1):
        if blocks[number] != count:
            raise AdapterError(
                f"{file}: block {number} has {blocks[number]} of the {count} networks "
                f"that placement {config.placement} puts there"
            )
