"""The layers of a base model: by the names of its tensors, and by those of an adapter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tunekit.adapters.header import Tensor, read_header
from tunekit.errors import AdapterError

PAIR = re.compile(
    r"base_model\.model\.(?P<module>.+)\.(?:"
    r"lora_(?P<half>[AB])\.weight|lora_embedding_(?P<embedding>[AB])|"
    r"(?P<magnitude>lora_magnitude_vector)(?:\.weight)?)"
)
"""How PEFT names the tensors of a LoRA."""

_BLOCK = re.compile(r"(?:^|.*?\.)(?P<tail>(?:layers|h|blocks)\.(?P<number>\d{1,5})\.(?P<kind>.+))")


def modules(tensors: Iterable[str]) -> list[str]:
    """Name the layers of the base that an adapter changes."""
    found = (PAIR.fullmatch(name) for name in tensors)
    return sorted({match["module"] for match in found if match})


def pairs(tensors: Iterable[Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give the tensors of a LoRA by layer: `A`, `B` and, of DoRA, `magnitude`."""
    found: dict[str, dict[str, Tensor]] = {}
    for tensor in tensors:
        if match := PAIR.fullmatch(tensor.name):
            half = match["half"] or match["embedding"] or "magnitude"
            found.setdefault(match["module"], {})[half] = tensor
    return found


def place(module: str) -> tuple[int, str] | None:
    """Give the number of the block that a layer lies in, and its name there."""
    match = _BLOCK.match(module)
    return (int(match["number"]), match["kind"]) if match else None


def tail(module: str) -> str:
    """Give the name from the block on: checkpoints and models differ in what stands before."""
    match = _BLOCK.match(module)
    return match["tail"] if match else module


def matrices(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the layers that are one matrix: linear ones and embeddings, by name."""
    return {
        name.removesuffix(".weight"): tensor
        for name, tensor in tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2
    }


def weights(folder: Path) -> dict[str, Tensor]:
    """Read the headers of a model; empty where it has no safetensors that can be read."""
    try:
        files = sorted(folder.glob("model*.safetensors"))
        return {name: tensor for file in files for name, tensor in read_header(file).items()}
    except (OSError, AdapterError):
        return {}
