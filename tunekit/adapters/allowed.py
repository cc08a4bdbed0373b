"""The files that make an adapter or a model, and those that may run code, by name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
INDEX = "model.safetensors.index.json"
RECORD = "tunekit.json"
TEMPLATE = "chat_template.jinja"
TEMPLATES = "additional_chat_templates"

_NAMES = frozenset(
    {
        *(CONFIG, WEIGHTS, RECORD, "README.md"),
        *("config.json", "generation_config.json", "model.safetensors", INDEX),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("added_tokens.json", "vocab.json", "merges.txt", "vocab.txt"),
        *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json"),
        *(TEMPLATE, "chat_template.json", ".gitattributes"),
    }
)
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_PICKLES = frozenset(
    {
        *(".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib", ".h5"),
        *(".dill", ".keras", ".mar", ".pb", ".torch"),
    }
)
_CODE = frozenset(
    {
        *(".py", ".pyc", ".pyd", ".pyi", ".pyw", ".pyx", ".pyz", ".whl", ".egg", ".so", ".dll"),
        *(".dylib", ".exe", ".sh", ".bash", ".bat", ".cmd", ".ps1", ".js", ".jar", ".pl", ".rb"),
    }
)
_LEFT_OVER = re.compile(
    r"(training_args\.bin|(optimizer|scheduler|scaler)\.pt|rng_state(_\d+)?\.pth)"
)


def is_left_over(name: str) -> bool:
    """Say whether a trainer leaves a file of this name beside its result; nobody needs it."""
    return _LEFT_OVER.fullmatch(name) is not None


def is_allowed(name: str) -> bool:
    """Say whether a file of this name belongs to an adapter or a model."""
    return name in _NAMES or _SHARD.fullmatch(name) is not None


def is_model_weights(name: str) -> bool:
    """Say whether a file of this name holds weights of a full model."""
    return name == "model.safetensors" or _SHARD.fullmatch(name) is not None


def danger(name: str) -> str | None:
    """Say why a file of this name is never taken; None where its name is harmless."""
    parts = PurePosixPath(name.lower().rstrip(" .")).suffixes
    if parts and parts[-1] in _PICKLES:
        return "may run code when it is loaded; save the weights as safetensors"
    # libx.so.1 is a library too.
    if parts and (parts[-1] in _CODE or ".so" in parts):
        return "is code; tunekit runs none that comes with weights"
    return None
