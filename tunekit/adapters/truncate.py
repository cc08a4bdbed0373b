"""Make a LoRA of lower rank, or a weaker one, from another."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tunekit.adapters.config import AdapterConfig
from tunekit.adapters.derived import derive
from tunekit.adapters.layers import PAIR
from tunekit.adapters.spectrum import Update, read, updates
from tunekit.errors import AdapterError


def truncate(folder: Path, into: Path, *, rank: int) -> Path:
    """Keep the largest `rank` singular values of every update.

    No other update of that rank is nearer (Eckart and Young 1936): in Frobenius' norm it is off by
    the root of the sum of squares of the values left out; see `truncation_error`.

    Raises:
        AdapterError: the folder holds no LoRA, or a DoRA, or has this rank already.
    """
    config, tensors = read(folder)
    _require_linear(config, folder)
    found = list(updates(config, tensors))
    if not 1 <= rank < max(update.rank for update in found):
        raise AdapterError(
            f"{folder}: has rank {max(update.rank for update in found)}; it can be cut to less, "
            f"not to {rank}"
        )
    names = {_place(name): name for name in tensors if PAIR.fullmatch(name)}
    changed = dict(tensors)
    for update in found:
        for half, matrix in zip("AB", _cut(update, rank), strict=True):
            name = names[update.layer, half]
            changed[name] = matrix.to(tensors[name].dtype)
    settings: dict[str, Any] = {
        "r": rank,
        # The updates hold their own scale.
        "lora_alpha": rank,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
    }
    used = {"truncated_to": rank, "truncation_error": truncation_error(folder, rank)}
    return derive(folder, into, tensors=changed, config=settings, used=used)


def truncation_error(folder: Path, rank: int) -> float:
    """Give the largest error of a layer when cut to `rank`: Frobenius' norm, over the update's.

    Raises:
        AdapterError: the folder holds no LoRA.
    """
    config, tensors = read(folder)
    return max(_lost(update, rank) for update in updates(config, tensors))


def rescale(folder: Path, into: Path, *, scale: float) -> Path:
    """Multiply every update by `scale`: between base (0) and tuned model (1).

    That is WiSE-FT for a LoRA (Wortsman et al. 2021, arXiv 2109.01903): weights between those of
    the base and those of the tuned model.

    Raises:
        AdapterError: the folder holds no LoRA, or a DoRA, or the scale does not lie between 0
            and 1.
    """
    if not 0 < scale <= 1:
        raise AdapterError(f"a scale lies above 0 and up to 1, not at {scale:g}")
    config, tensors = read(folder)
    _require_linear(config, folder)
    if config.modules_to_save:
        raise AdapterError(
            f"{folder}: holds whole layers ({', '.join(config.modules_to_save)}), which no scale "
            "brings nearer to the base"
        )
    changed = {
        name: (tensor.float() * scale).to(tensor.dtype) if _place(name)[1] == "B" else tensor
        for name, tensor in tensors.items()
    }
    return derive(folder, into, tensors=changed, config={}, used={"scaled_by": scale})


def _require_linear(config: AdapterConfig, folder: Path) -> None:
    if config.use_dora:
        raise AdapterError(
            f"{folder}: is a DoRA, whose update is no product of two matrices: "
            "the length of each row depends on both"
        )


def _place(name: str) -> tuple[str, str]:
    match = PAIR.fullmatch(name)
    if match is None:
        return name, ""
    return match["module"], match["half"] or match["embedding"] or "magnitude"


def _cut(update: Update, rank: int) -> tuple[Any, Any]:
    """Give A [rank, in] and B [out, rank] of the nearest update of this rank, at scale 1."""
    import torch

    left, values, right = update.factors()
    kept = min(rank, len(values))
    roots = values[:kept].sqrt()
    first, second = roots[:, None] * right[:kept], left[:, :kept] * roots
    # A layer of lower rank than the others is filled up with zeros.
    missing = rank - kept
    if missing:
        first = torch.cat([first, first.new_zeros(missing, first.shape[1])])
        second = torch.cat([second, second.new_zeros(second.shape[0], missing)], dim=1)
    return first, second * math.copysign(1.0, update.scale)


def _lost(update: Update, rank: int) -> float:
    squares = update.factors()[1].double() ** 2
    total = float(squares.sum())
    return math.sqrt(float(squares[rank:].sum()) / total) if total else 0.0
