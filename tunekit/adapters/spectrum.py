"""The singular values of every update of a LoRA, without ever forming the update."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tunekit.adapters import gate
from tunekit.adapters.config import AdapterConfig, read_config, read_object
from tunekit.adapters.layers import PAIR
from tunekit.errors import AdapterError


@dataclass(frozen=True)
class Update:
    """What a LoRA adds to one layer: scale x B A."""

    layer: str
    first: Any
    """A, float32, [rank, in]."""
    second: Any
    """B, float32, [out, rank]."""
    scale: float

    @property
    def rank(self) -> int:
        """Rows of A."""
        return int(self.first.shape[0])

    def factors(self) -> tuple[Any, Any, Any]:
        """Give U [out, rank], the singular values [rank] and V^T [rank, in] of scale x B A.

        B A is Q_B (R_B R_A^T) Q_A^T, of the QR decompositions of B and of A^T; the matrix in the
        middle is only as large as the rank.
        """
        linear: Any = import_module("torch").linalg
        left, upper = linear.qr(self.second)
        right, lower = linear.qr(self.first.T)
        inner, values, outer = linear.svd(upper @ lower.T, full_matrices=False)
        return left @ inner, values * abs(self.scale), outer @ right.T


def singular_values(folder: Path) -> dict[str, tuple[float, ...]]:
    """Give the singular values of what a LoRA adds to each layer, the largest first.

    Exact up to rounding in float32.

    Raises:
        AdapterError: the folder holds no LoRA.
    """
    config, tensors = read(folder)
    return {
        update.layer: tuple(float(value) for value in update.factors()[1])
        for update in updates(config, tensors)
    }


def read(folder: Path) -> tuple[AdapterConfig, dict[str, Any]]:
    """Read config and tensors of a LoRA.

    Raises:
        AdapterError: the folder holds none.
    """
    file = folder / gate.CONFIG
    kind = read_object(file).get("peft_type") if file.exists() else None
    if kind != "LORA":
        what = f"an adapter of type {kind}" if kind else "a full model"
        raise AdapterError(f"{folder}: holds {what}; only a LoRA has a rank")
    library: Any = import_module("safetensors.torch")
    tensors: dict[str, Any] = library.load_file(folder / gate.WEIGHTS)
    return read_config(file), tensors


def updates(config: AdapterConfig, tensors: Mapping[str, Any]) -> Iterator[Update]:
    """Give the updates of a LoRA, layer by layer."""
    parts: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if (match := PAIR.fullmatch(name)) and not match["magnitude"]:
            half = match["half"] or match["embedding"]
            parts.setdefault(match["module"], {})[half] = tensor.float()
    for layer, pair in sorted(parts.items()):
        rank = int(pair["A"].shape[0])
        yield Update(layer, pair["A"], pair["B"], _scale(config, layer, rank))


def _scale(config: AdapterConfig, layer: str, rank: int) -> float:
    """Give what PEFT multiplies B A with: alpha / r, or with rsLoRA alpha / sqrt(r)."""
    own = (
        alpha
        for pattern, alpha in config.alpha_pattern.items()
        if re.match(rf"(.*\.)?({pattern})$", layer)
    )
    alpha = next(own, config.lora_alpha)
    return alpha / rank**0.5 if config.use_rslora else alpha / rank
