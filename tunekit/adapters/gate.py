"""The checks before anything is trusted: plain files, no code, whole and finite weights.

Reads bytes and JSON only; no training library opens the folder before it has passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from tunekit.adapters import chat_template, fit
from tunekit.adapters.allowed import CONFIG as CONFIG
from tunekit.adapters.allowed import INDEX as INDEX
from tunekit.adapters.allowed import TEMPLATES, danger, is_allowed, is_model_weights
from tunekit.adapters.allowed import WEIGHTS as WEIGHTS
from tunekit.adapters.asked import Asked
from tunekit.adapters.asked import Kind as Kind
from tunekit.adapters.bottleneck.config import BottleneckConfig
from tunekit.adapters.bottleneck.weights import require_networks
from tunekit.adapters.config import AdapterConfig, read_object
from tunekit.adapters.configs import read_any
from tunekit.adapters.header import Tensor, read_header
from tunekit.adapters.layers import PAIR, pairs
from tunekit.adapters.layers import modules as modules
from tunekit.adapters.numbers import FLOATS, is_finite, is_zero
from tunekit.adapters.peft_types.base import PeftTypeConfig
from tunekit.adapters.peft_types.tensors import require_tensors
from tunekit.errors import AdapterError

_CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipelines", "custom_generate")
_NOUNS: dict[Kind, str] = {"adapter": "an adapter", "model": "a full model"}
_KERNELS = re.compile(r"_?(attn|experts)_implementation(_internal)?")


def check(folder: Path, asked: Asked | None = None) -> Kind:
    """Check a folder and say what it holds.

    Args:
        folder: An adapter or a full model.
        asked: What it must be: kind, base, rank and layers; None takes any.

    Raises:
        AdapterError: the first thing that is wrong, the file and what is expected there.
    """
    names = _files(folder)
    kind = _kind(folder, names)
    if asked and asked.kind != kind:
        raise AdapterError(f"{folder}: holds {_NOUNS[kind]}; {_NOUNS[asked.kind]} was asked for")
    _require_harmless(folder, names)
    (_check_adapter if kind == "adapter" else _check_model)(folder, names, asked)
    return kind


def _kind(folder: Path, names: set[str]) -> Kind:
    if CONFIG in names:
        return "adapter"
    if "config.json" in names:
        return "model"
    raise AdapterError(
        f"{folder}: holds neither {CONFIG} (an adapter) nor config.json (a full model)"
    )


def _files(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise AdapterError(f"{folder}: there is no such folder")
    names: set[str] = set()
    for entry in sorted(folder.iterdir()):
        if entry.name == TEMPLATES and not entry.is_symlink() and entry.is_dir():
            for template in entry.iterdir():
                _require_allowed(template, template.suffix == ".jinja")
            continue
        _require_allowed(entry, is_allowed(entry.name))
        names.add(entry.name)
    return names


def _require_allowed(entry: Path, known: bool) -> None:
    if entry.is_symlink() or not entry.is_file():
        raise AdapterError(f"{entry}: is no plain file; tunekit takes only plain files")
    if why := danger(entry.name):
        raise AdapterError(f"{entry}: {why}")
    if not known:
        raise AdapterError(f"{entry}: is not a file of an adapter or a model; move it away")


def _require_harmless(folder: Path, names: set[str]) -> None:
    """The settings beside the weights name no code, and the chat templates are short."""
    for name in ("config.json", "generation_config.json"):
        if name in names:
            _require_no_code(read_object(folder / name), folder / name)
    if "tokenizer_config.json" in names:
        file = folder / "tokenizer_config.json"
        content = read_object(file, chat_template.MOST_TOKENIZER)
        _require_no_code(content, file)
        chat_template.require_short(content.get("chat_template", ""), file)
    for file in (*folder.glob("chat_template.*"), *folder.glob(f"{TEMPLATES}/*")):
        if file.stat().st_size > chat_template.MOST_BYTES:
            raise AdapterError(f"{file}: is larger than {chat_template.MOST_BYTES} bytes")


def _require_no_code(content: Any, file: Path) -> None:
    if isinstance(content, Mapping):
        for key, value in cast("Mapping[str, Any]", content).items():
            if value and (key in _CODE_KEYS or _names_kernel(key, value)):
                raise AdapterError(f"{file}: {key} names code to import; tunekit never loads it")
            _require_no_code(value, file)
    elif isinstance(content, list):
        for value in cast("Iterable[Any]", content):
            _require_no_code(value, file)


def _names_kernel(key: str, value: Any) -> bool:
    """Say whether an implementation of a layer is fetched from the hub, and then run."""
    if not _KERNELS.fullmatch(key):
        return False
    return key.endswith("_internal") or "/" in str(value)


def _check_adapter(folder: Path, names: set[str], asked: Asked | None) -> None:
    if WEIGHTS not in names:
        raise AdapterError(f"{folder / WEIGHTS}: is missing; {CONFIG} alone changes nothing")
    if both := {name for name in names if is_model_weights(name)}:
        raise AdapterError(
            f"{folder / min(both)}: a folder holds an adapter or a full model, not both"
        )
    config = read_any(folder / CONFIG)
    file = folder / WEIGHTS
    tensors = read_header(file)
    if isinstance(config, BottleneckConfig):
        _check_bottleneck(folder, config, tensors, asked)
        return
    if isinstance(config, PeftTypeConfig):
        if asked:
            raise AdapterError(f"{folder / CONFIG}: is of {config.method}; a LoRA was asked for")
        require_tensors(tensors, config, file)
        _require_finite(tensors, file)
        return
    _require_pairs(tensors, config, file)
    for tensor in tensors.values():
        if tensor.dtype not in FLOATS:
            raise AdapterError(f"{file}: {tensor.name} is {tensor.dtype}; floats are expected")
    if asked:
        fit.require_adapter(folder, config, tensors, asked)
    _require_finite(tensors, file)
    if all(is_zero(file, parts["B"]) for parts in pairs(tensors.values()).values()):
        raise AdapterError(
            f"{file}: every lora_B is zero: this adapter was never trained, "
            "or only with a learning rate of zero"
        )


def _check_bottleneck(
    folder: Path, config: BottleneckConfig, tensors: dict[str, Tensor], asked: Asked | None
) -> None:
    file = folder / WEIGHTS
    if asked:
        raise AdapterError(f"{folder / CONFIG}: is a bottleneck adapter; a LoRA was asked for")
    require_networks(tensors, config, file)
    _require_finite(tensors, file)


def _require_pairs(tensors: dict[str, Tensor], config: AdapterConfig, file: Path) -> None:
    """Each layer has its A [r, in] and B [out, r], of a rank that the config allows."""
    saved = tuple(config.modules_to_save or ())
    for name in tensors:
        if not PAIR.fullmatch(name) and not _is_saved(name, saved):
            raise AdapterError(
                f"{file}: {name} is no part of a LoRA adapter; it would replace the base's"
            )
    found = pairs(tensors.values())
    if not found:
        raise AdapterError(f"{file}: holds no lora_A and lora_B")
    halves = {"A", "B", "magnitude"} if config.use_dora else {"A", "B"}
    for module, parts in found.items():
        if wrong := halves ^ parts.keys():
            raise AdapterError(f"{file}: {module}: {', '.join(sorted(wrong))} is missing or extra")
        _require_rank(parts["A"], parts["B"], config, file)


def _require_rank(first: Tensor, second: Tensor, config: AdapterConfig, file: Path) -> None:
    rows, columns = first.shape[:1], second.shape[1:2]
    flat = len(first.shape) == len(second.shape) == 2
    if not flat or rows != columns or rows[0] not in config.ranks:
        raise AdapterError(
            f"{file}: {first.name} {list(first.shape)} and lora_B {list(second.shape)} "
            f"do not have the rank that {CONFIG} says: {sorted(config.ranks)}"
        )


def _is_saved(name: str, modules_to_save: tuple[str, ...]) -> bool:
    """Say whether a tensor is one of the whole layers that the config declares."""
    parts = name.removeprefix("base_model.model.").split(".")
    return name.startswith("base_model.model.") and any(part in modules_to_save for part in parts)


def _check_model(folder: Path, names: set[str], asked: Asked | None) -> None:
    config = read_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise AdapterError(f"{folder / 'config.json'}: says no model_type")
    files = {name for name in names if is_model_weights(name)}
    if not files:
        raise AdapterError(f"{folder}: holds no model.safetensors")
    tensors = {name: read_header(folder / name) for name in sorted(files)}
    _require_index(folder, files, tensors)
    if asked:
        held = {name: t for found in tensors.values() for name, t in found.items()}
        fit.require_model(folder, held, asked)
    for name, found in tensors.items():
        _require_finite(found, folder / name)


def _require_index(folder: Path, files: set[str], tensors: dict[str, dict[str, Tensor]]) -> None:
    """Every tensor lies in the file that the index names; one file needs no index."""
    index = folder / INDEX
    if not index.exists():
        if files != {"model.safetensors"}:
            raise AdapterError(f"{index}: is missing, and there are {len(files)} files of weights")
        return
    held = {name: file for file, found in tensors.items() for name in found}
    if read_object(index).get("weight_map") != held:
        raise AdapterError(f"{index}: does not fit the files of weights beside it")


def _require_finite(tensors: dict[str, Tensor], file: Path) -> None:
    for tensor in tensors.values():
        if not is_finite(file, tensor):
            raise AdapterError(
                f"{file}: {tensor.name} holds infinite or undefined numbers: the training diverged"
            )
