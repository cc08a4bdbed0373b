"""LoftQ: an adapter that begins with what rounding the base to 4 bits has lost."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from tunekit.adapters import origin
from tunekit.adapters.header import read_header
from tunekit.errors import SpecError

_PREFIX = "base_model.model."


def begin(model: Any, source: str) -> None:
    """Let B A be the best approximation, in its rank, of weight minus rounded weight.

    Li et al. 2023, arXiv 2310.08659, algorithm 1 with one step: the base stays as it was rounded.
    (PEFT's `replace_lora_weights_loftq` needs a CUDA device, and leaves out the adapter's scale.)
    The weights before rounding are read from the files of the base.

    Raises:
        SpecError: there are no safetensors of the base, or they have other names.
    """
    torch: Any = import_module("torch")
    files = _files(source)
    for name, layer in _layers(model):
        whole = _weight(files, name, source).to(layer.weight.device, torch.float32)
        lost = whole - _rounded(layer).float()
        u, s, v = torch.linalg.svd(lost, full_matrices=False)
        rank = layer.r["default"]
        root = (s[:rank] / layer.scaling["default"]).sqrt()
        _set(layer.lora_B["default"].weight, u[:, :rank] * root)
        _set(layer.lora_A["default"].weight, root[:, None] * v[:rank])


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Give the adapted layers that are held in 4 bits, by their names in the base."""
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and hasattr(module.weight, "quant_state"):
            yield name.removeprefix(_PREFIX), module


def _rounded(layer: Any) -> Any:
    library: Any = import_module("bitsandbytes.functional")
    return library.dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def _set(weight: Any, values: Any) -> None:
    """Fill a matrix; a small layer has fewer directions than the adapter has ranks."""
    torch: Any = import_module("torch")
    with torch.no_grad():
        weight.zero_()
        weight[: values.shape[0], : values.shape[1]].copy_(values)


def _files(source: str) -> dict[str, Path]:
    """Say which file of the base each tensor is in."""
    folder = origin.find(source)
    files = sorted(folder.glob("model*.safetensors")) if folder else ()
    found = {name: file for file in files for name in read_header(file)}
    if not found:
        raise SpecError(
            f"method.init: loftq reads the weights before rounding, and {source} has no "
            "model.safetensors on this machine"
        )
    return found


def _weight(files: dict[str, Path], name: str, source: str) -> Any:
    library: Any = import_module("safetensors")
    wanted = f"{name}.weight"
    if wanted not in files:
        raise SpecError(f"method.init: loftq finds no {wanted} among the weights of {source}")
    with library.safe_open(files[wanted], framework="pt") as content:
        return content.get_tensor(wanted)
