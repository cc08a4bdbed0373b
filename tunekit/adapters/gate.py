"""The checks before anything is trusted: plain files, no code, whole and finite weights.

Reads bytes and JSON only; no training library opens the folder before it has passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from tunekit.adapters.config import AdapterConfig, read_config, read_object
from tunekit.adapters.header import Tensor, read_header
from tunekit.adapters.numbers import FLOATS, is_finite, is_zero
from tunekit.errors import AdapterError

Kind = Literal["adapter", "model"]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
INDEX = "model.safetensors.index.json"

_ALLOWED = frozenset(
    {
        *(CONFIG, WEIGHTS, "tunekit.json", "README.md"),
        *("config.json", "generation_config.json", "model.safetensors", INDEX),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("added_tokens.json", "vocab.json", "merges.txt", "vocab.txt"),
        *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json"),
        *("chat_template.jinja", "chat_template.json", ".gitattributes"),
    }
)
_TEMPLATES = "additional_chat_templates"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib", ".h5")
_CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".sh")
_CODE_KEYS = ("auto_map", "trust_remote_code", "_attn_implementation_internal")

_PAIR = re.compile(
    r"base_model\.model\.(?P<module>.+)\.(?:"
    r"lora_(?P<half>[AB])\.weight|lora_embedding_(?P<embedding>[AB])|"
    r"(?P<magnitude>lora_magnitude_vector)(?:\.weight)?)"
)


def check(folder: Path) -> Kind:
    """Check a folder and say what it holds.

    Raises:
        AdapterError: the first thing that is wrong, the file and what is expected there.
    """
    names = _files(folder)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        if name in names:
            _require_no_code(read_object(folder / name), folder / name)
    if CONFIG in names:
        _check_adapter(folder, names)
        return "adapter"
    if "config.json" in names:
        _check_model(folder, names)
        return "model"
    raise AdapterError(
        f"{folder}: holds neither {CONFIG} (an adapter) nor config.json (a full model)"
    )


def modules(tensors: Iterable[str]) -> list[str]:
    """Name the layers of the base that an adapter changes."""
    found = (_PAIR.fullmatch(name) for name in tensors)
    return sorted({match["module"] for match in found if match})


def _files(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise AdapterError(f"{folder}: there is no such folder")
    names: set[str] = set()
    for entry in sorted(folder.iterdir()):
        if entry.name == _TEMPLATES and not entry.is_symlink() and entry.is_dir():
            for template in entry.iterdir():
                _require_allowed(template, template.suffix == ".jinja")
            continue
        known = entry.name in _ALLOWED or _SHARD.fullmatch(entry.name) is not None
        _require_allowed(entry, known)
        names.add(entry.name)
    return names


def _require_allowed(entry: Path, known: bool) -> None:
    if entry.is_symlink() or not entry.is_file():
        raise AdapterError(f"{entry}: is no plain file; tunekit takes only plain files")
    if entry.suffix.lower() in _PICKLES:
        raise AdapterError(
            f"{entry}: may run code when it is loaded; save the weights as safetensors"
        )
    if entry.suffix.lower() in _CODE:
        raise AdapterError(f"{entry}: is code; tunekit runs none that comes with weights")
    if not known:
        raise AdapterError(f"{entry}: is not a file of an adapter or a model; move it away")


def _require_no_code(content: Any, file: Path) -> None:
    if isinstance(content, Mapping):
        for key, value in cast("Mapping[str, Any]", content).items():
            if key in _CODE_KEYS and value:
                raise AdapterError(f"{file}: {key} names code to import; tunekit never loads it")
            _require_no_code(value, file)
    elif isinstance(content, list):
        for value in cast("Iterable[Any]", content):
            _require_no_code(value, file)


def _check_adapter(folder: Path, names: set[str]) -> None:
    if WEIGHTS not in names:
        raise AdapterError(f"{folder / WEIGHTS}: is missing; {CONFIG} alone changes nothing")
    if both := {name for name in names if _is_model_weights(name)}:
        raise AdapterError(
            f"{folder / min(both)}: a folder holds an adapter or a full model, not both"
        )
    config = read_config(folder / CONFIG)
    file = folder / WEIGHTS
    tensors = read_header(file)
    _require_pairs(tensors, config, file)
    for tensor in tensors.values():
        if tensor.dtype not in FLOATS:
            raise AdapterError(f"{file}: {tensor.name} is {tensor.dtype}; floats are expected")
    _require_finite(tensors, file)
    updates = [
        t
        for t in tensors.values()
        if (m := _PAIR.fullmatch(t.name)) and "B" in (m["half"], m["embedding"])
    ]
    if all(is_zero(file, tensor) for tensor in updates):
        raise AdapterError(
            f"{file}: every lora_B is zero: this adapter was never trained, "
            "or only with a learning rate of zero"
        )


def _require_pairs(tensors: dict[str, Tensor], config: AdapterConfig, file: Path) -> None:
    """Each layer has its A [r, in] and B [out, r], of a rank that the config allows."""
    found: dict[str, dict[str, Tensor]] = {}
    saved = tuple(config.modules_to_save or ())
    for tensor in tensors.values():
        if match := _PAIR.fullmatch(tensor.name):
            half = match["half"] or match["embedding"] or "magnitude"
            found.setdefault(match["module"], {})[half] = tensor
        elif not _is_saved(tensor.name, saved):
            raise AdapterError(
                f"{file}: {tensor.name} is no part of a LoRA adapter; it would replace the base's"
            )
    if not found:
        raise AdapterError(f"{file}: holds no lora_A and lora_B")
    halves = {"A", "B", "magnitude"} if config.use_dora else {"A", "B"}
    for module, parts in found.items():
        if wrong := halves ^ parts.keys():
            raise AdapterError(f"{file}: {module}: {', '.join(sorted(wrong))} is missing or extra")
        _require_rank(parts["A"], parts["B"], config, file)


def _require_rank(first: Tensor, second: Tensor, config: AdapterConfig, file: Path) -> None:
    rows, columns = first.shape[:1], second.shape[1:2]
    if not rows or rows != columns or rows[0] not in config.ranks:
        raise AdapterError(
            f"{file}: {first.name} {list(first.shape)} and lora_B {list(second.shape)} "
            f"do not have the rank that {CONFIG} says: {sorted(config.ranks)}"
        )


def _is_saved(name: str, modules_to_save: tuple[str, ...]) -> bool:
    """Say whether a tensor is one of the whole layers that the config declares."""
    parts = name.removeprefix("base_model.model.").split(".")
    return name.startswith("base_model.model.") and any(part in modules_to_save for part in parts)


def _check_model(folder: Path, names: set[str]) -> None:
    config = read_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise AdapterError(f"{folder / 'config.json'}: says no model_type")
    files = {name for name in names if _is_model_weights(name)}
    if not files:
        raise AdapterError(f"{folder}: holds no model.safetensors")
    tensors = {name: read_header(folder / name) for name in sorted(files)}
    _require_index(folder, files, tensors)
    for name, found in tensors.items():
        _require_finite(found, folder / name)


def _is_model_weights(name: str) -> bool:
    return name == "model.safetensors" or _SHARD.fullmatch(name) is not None


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
