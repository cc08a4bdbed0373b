"""What is known of a model without loading it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from tunekit import hub
from tunekit.errors import SpecError


class Model(BaseModel):
    """Family, sizes and template of a model; None where nothing is known."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    id: str
    """As the spec names it."""
    family: str | None = None
    """`model_type` of its config: llama, qwen3, ..."""
    parameters: int | None = None
    hidden_size: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    intermediate_size: int | None = None
    vocab_size: int | None = None
    context: int | None = None
    """Longest sequence in tokens."""
    tied_embeddings: bool | None = None
    dtype: str | None = None
    """Precision the weights are stored in."""
    chat_template: str | None = None
    folder: str | None = None
    """Where its files are on this machine."""
    known_from: str = "nothing"
    """`folder`, `cache`, `hub`, `embedded` or `nothing`."""


EMBEDDED = {
    "embedded:smollm2-135m": Model(
        id="embedded:smollm2-135m",
        family="llama",
        parameters=134_515_008,
        hidden_size=576,
        layers=30,
        heads=9,
        kv_heads=3,
        head_dim=64,
        intermediate_size=1536,
        vocab_size=49_152,
        context=8192,
        tied_embeddings=True,
        dtype="float32",
        known_from="embedded",
    )
}
"""Models that come in a package; sizes from their GGUF files."""


def describe(model_id: str) -> Model:
    """Say what is known of a model, from its folder, the hub's cache, the hub or a table.

    The hub is asked for small files only, and not when `HF_HUB_OFFLINE` is set. Where it does not
    answer, or does not know the id, only the name is known; that is allowed.

    Raises:
        SpecError: the folder does not exist, holds no model, or its config cannot be read;
            the name cannot be a hub id, or is no embedded model.
    """
    if model_id in EMBEDDED:
        return EMBEDDED[model_id]
    if model_id.startswith("embedded:"):
        raise SpecError(f"model: {model_id!r} is unknown; there is {', '.join(EMBEDDED)}")
    path = _on_disk(model_id)
    if path and path.is_dir():
        return _read(model_id, path, "folder")
    if path:
        raise SpecError(f"model: {model_id} is a file; give the folder with config.json in it")
    if _looks_like_a_path(model_id):
        raise SpecError(
            f"model: there is no folder {model_id}; "
            "give one that exists, or a hub id such as Qwen/Qwen3-0.6B"
        )
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model_id):
        raise SpecError(
            f"model: {model_id!r} is no hub id (owner/name), no folder, "
            f"and not {' or '.join(EMBEDDED)}"
        )
    for known_from, look in (("cache", hub.cached), ("hub", hub.fetched)):
        folder = look(model_id)
        if folder is not None:
            return _read(model_id, folder, known_from)
    return Model(id=model_id)


def configured(path: Path) -> Model:
    """Say what a config.json tells of a model, whatever the file is called.

    Raises:
        SpecError: there is no such file, or it is not the config of a language model.
    """
    if not path.is_file():
        raise SpecError(f"model: there is no file {path}; give one that exists, or a hub id")
    return _from_config(str(path), path, path.parent, "folder")


def imagined(parameters: int, hidden: int, *, layers: int | None, vocabulary: int) -> Model:
    """Make up a model of Llama's build with so many parameters, its embeddings not tied.

    Heads are 128 wide with as many for keys, and the MLP takes what the attention leaves of a
    layer; without `layers`, a layer has 12 h^2 weights, as Kaplan et al. 2020 count.

    Raises:
        SpecError: no layer is left beside the embeddings.
    """
    body = parameters - 2 * vocabulary * hidden - hidden
    count = layers or round(body / (12 * hidden**2))
    inner = round((body / count - 4 * hidden**2 - 2 * hidden) / (3 * hidden)) if count > 0 else 0
    if inner <= 0:
        raise SpecError(
            f"model: {parameters:,} parameters leave nothing for layers beside embeddings of "
            f"{vocabulary:,} x {hidden:,}; check --parameters, --hidden and --layers"
        )
    heads = max(1, hidden // 128)
    return Model(
        id=f"a model of {parameters / 1e9:.3g}B",
        family="llama",
        parameters=parameters,
        hidden_size=hidden,
        layers=count,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        intermediate_size=inner,
        vocab_size=vocabulary,
        tied_embeddings=False,
    )


def _on_disk(model_id: str) -> Path | None:
    # OSError: too long a name; ValueError: a null byte; RuntimeError: no such user after ~.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        path = Path(model_id).expanduser()
        return path if path.exists() else None
    return None


def _looks_like_a_path(model_id: str) -> bool:
    starts = model_id.startswith((".", "/", "~", os.sep))
    return starts or model_id.endswith(("/", os.sep)) or model_id.count("/") > 1


def _read(model_id: str, folder: Path, known_from: str) -> Model:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise SpecError(f"model: {folder} holds no config.json; {_what_it_is(folder)}")
    return _from_config(model_id, config_file, folder, known_from)


def _from_config(model_id: str, config_file: Path, folder: Path, known_from: str) -> Model:
    raw = _json(config_file)
    config: Mapping[str, Any] = raw
    if "hidden_size" not in raw and isinstance(raw.get("text_config"), dict):
        config = raw["text_config"]
    try:
        known = _sizes(config)
        if known["parameters"] is None and "quantization_config" not in raw:
            known["parameters"] = _count_tensors(folder)
        template = _chat_template(folder)
        model = {"id": model_id, **known, "folder": str(folder), "known_from": known_from}
        return Model.model_validate({**model, "chat_template": template})
    except (ValidationError, TypeError, ValueError, ZeroDivisionError):
        raise SpecError(
            f"model: {config_file} is not the config of a language model; "
            "save the model again with save_pretrained"
        ) from None


def _what_it_is(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        base = _json(folder / "adapter_config.json").get("base_model_name_or_path")
        return f"it is an adapter: give its base model ({base}), or merge it first"
    return "give a folder that save_pretrained wrote"


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(
            f"model: {file} cannot be read ({error}); download or save the model again"
        ) from None
    if not isinstance(value, dict):
        raise SpecError(f"model: {file} is not a JSON object; download or save the model again")
    return cast("dict[str, Any]", value)


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Take the sizes from a config, by the names of transformers and the older ones of GPT-2."""

    def first(*names: str, default: Any = None) -> Any:
        return next((config[name] for name in names if config.get(name) is not None), default)

    family = first("model_type")
    hidden = first("hidden_size", "n_embd", "d_model")
    heads = first("num_attention_heads", "n_head", "n_heads", "num_heads")
    known: dict[str, Any] = {
        "family": family,
        "hidden_size": hidden,
        "layers": first("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        "heads": heads,
        "kv_heads": first("num_key_value_heads", default=heads),
        "head_dim": first("head_dim", default=_HEAD_DIMS.get(family)),
        "intermediate_size": first("intermediate_size", "n_inner", "ffn_dim", "d_ff"),
        "vocab_size": first("vocab_size"),
        "context": first("max_position_embeddings", "n_positions", "n_ctx"),
        "tied_embeddings": first("tie_word_embeddings", default=family in _TIED),
        "dtype": first("dtype", "torch_dtype"),
    }
    if known["head_dim"] is None and hidden and heads:
        known["head_dim"] = hidden // heads
    if known["intermediate_size"] is None and family in _FOURFOLD:
        known["intermediate_size"] = 4 * hidden
    known["parameters"] = _parameters(config, known)
    return known


_HEAD_DIMS = {"qwen3": 128, "gemma": 256, "gemma2": 256, "gemma3_text": 256}
_TIED = frozenset({"gemma", "gemma2", "gemma3_text", "gpt2", "cohere", "smollm3"})
_FOURFOLD = frozenset({"gpt2", "gpt_bigcode", "gptj", "gpt_neo", "falcon", "bloom", "codegen"})
"""Families whose config leaves out a head size, tied embeddings, or an MLP of four times the
hidden size, that is their default."""

_BEYOND_LLAMA: dict[str, Callable[[int, int, int, int], int]] = {
    "llama": lambda h, q, k, d: 0,
    "mistral": lambda h, q, k, d: 0,
    "phi3": lambda h, q, k, d: 0,
    "granite": lambda h, q, k, d: 0,
    "smollm3": lambda h, q, k, d: 0,
    "gemma": lambda h, q, k, d: 0,
    "qwen2": lambda h, q, k, d: q + 2 * k,
    "qwen3": lambda h, q, k, d: 2 * d,
    "gemma2": lambda h, q, k, d: 2 * h,
    "gemma3_text": lambda h, q, k, d: 2 * h + 2 * d,
    "olmo2": lambda h, q, k, d: q + k,
    "olmo3": lambda h, q, k, d: q + k,
}
"""What a layer holds beside Llama's seven matrices and two norms: biases and further norms."""


def _parameters(config: Mapping[str, Any], known: Mapping[str, Any]) -> int | None:
    """Count the weights in closed form; None for a family of another build."""
    names = ("hidden_size", "layers", "heads", "kv_heads", "head_dim", "intermediate_size")
    beyond = _BEYOND_LLAMA.get(known["family"])
    if beyond is None or any(known[name] is None for name in (*names, "vocab_size")):
        return None
    h, layers, heads, kv_heads, d, i = (int(known[name]) for name in names)
    q, k = heads * d, kv_heads * d
    layer = 2 * h * q + 2 * h * k + 3 * h * i + 2 * h + beyond(h, q, k, d)
    layer += (q + 2 * k + h) * bool(config.get("attention_bias"))
    layer += (2 * i + h) * bool(config.get("mlp_bias"))
    embeddings = int(known["vocab_size"]) * h * (1 if known["tied_embeddings"] else 2)
    return embeddings + layers * layer + h


def _count_tensors(folder: Path) -> int | None:
    """Count the weights from the headers of the safetensors files, None where there are none."""
    try:
        return sum(map(_header_count, folder.glob("*.safetensors"))) or None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _header_count(file: Path) -> int:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(min(length, 100_000_000)))
    return sum(math.prod(part["shape"]) for name, part in header.items() if name[:2] != "__")


def _chat_template(folder: Path) -> str | None:
    """Read the template, from its own file or from the tokenizer's config."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    if not (folder / "tokenizer_config.json").is_file():
        return None
    template = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):
        named = cast("list[dict[str, Any]]", template)
        return next((each["template"] for each in named if each.get("name") == "default"), None)
    return cast("str | None", template)
