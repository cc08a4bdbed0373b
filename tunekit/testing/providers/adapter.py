"""What a provider's training leaves: a LoRA adapter that fits its base, or a full model."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tunekit.adapters.header import read_header
from tunekit.testing.weights import write_model

_BLOCK = 4093
_SPREAD = 0.02
_WEIGHT = re.compile(r"(?P<layer>.+\.layers\.\d+\..+)\.weight")
_TINY = {
    "hidden_size": 4,
    "intermediate_size": 4,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "num_hidden_layers": 1,
}
"""The sizes of `tunekit.testing.weights.write_model`."""


@dataclass(frozen=True)
class Lora:
    """What was asked of an adapter."""

    rank: int
    alpha: float
    dropout: float = 0.0
    modules: str = "all-linear"
    """Names with commas between them, or `all-linear`."""


def write_lora(folder: Path, lora: Lora, *, model: str, base: Path | None, seed: int) -> None:
    """Leave a LoRA adapter in `folder` as PEFT saves it, fitting the model in `base`.

    Without a base it fits the model of one tiny layer that `write_full` leaves. The numbers of
    both matrices are uniform in [-0.02, 0.02].
    """
    layers = _chosen(_layers(base), lora.modules)
    names = sorted({layer.rpartition(".")[2] for layer in layers})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "bias": "none",
        "target_modules": names,
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    shapes: dict[str, tuple[int, int]] = {}
    for layer, (out, inner) in layers.items():
        name = f"base_model.model.{layer}"
        shapes[f"{name}.lora_A.weight"] = (lora.rank, inner)
        shapes[f"{name}.lora_B.weight"] = (out, lora.rank)
    write_random(folder / "adapter_model.safetensors", shapes, seed=seed)


def write_full(folder: Path, *, base: Path | None) -> None:
    """Leave a full model in `folder`: the files of `base`, or one tiny layer."""
    folder.mkdir(parents=True, exist_ok=True)
    if base is None:
        write_model(folder)
        return
    for file in sorted(base.iterdir()):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)


def write_random(path: Path, shapes: Mapping[str, tuple[int, int]], *, seed: int) -> None:
    """Write float32 tensors of these shapes with small numbers that the seed decides.

    The format: 8 bytes with the length of the header, the header as JSON, the numbers.
    """
    chance = random.Random(seed)
    block = array("f", (chance.uniform(-_SPREAD, _SPREAD) for _ in range(_BLOCK)))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = bytearray()
    for name, shape in shapes.items():
        numbers = _numbers(block, math.prod(shape), chance.randrange(_BLOCK))
        end = len(body) + len(numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), end]}
        body += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(body))


def _numbers(block: array[float], count: int, start: int) -> bytes:
    turned = block[start:] + block[:start]
    return (turned * (count // _BLOCK + 1))[:count].tobytes()


def _layers(base: Path | None) -> dict[str, tuple[int, int]]:
    """Give the linear layers of the blocks, as [out, in]: from the weights if they are there."""
    files = sorted(base.glob("*.safetensors")) if base else []
    found: dict[str, tuple[int, int]] = {}
    for file in files:
        for tensor in read_header(file).values():
            match = _WEIGHT.fullmatch(tensor.name)
            if match and len(tensor.shape) == 2:
                found[match["layer"]] = (tensor.shape[0], tensor.shape[1])
    if found:
        return found
    config = _TINY if base is None else json.loads((base / "config.json").read_text())
    return _llama(cast("dict[str, Any]", config))


def _llama(config: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Give the layers of a Llama (and of the many that are built like it) of these sizes."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or hidden // heads
    keys = size * (config.get("num_key_value_heads") or heads)
    block = {
        "self_attn.q_proj": (heads * size, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, heads * size),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    count = config["num_hidden_layers"]
    return {
        f"model.layers.{index}.{name}": shape
        for index in range(count)
        for name, shape in block.items()
    }


def _chosen(layers: Mapping[str, tuple[int, int]], modules: str) -> dict[str, tuple[int, int]]:
    if modules == "all-linear":
        return dict(layers)
    wanted = set(modules.split(","))
    return {name: shape for name, shape in layers.items() if name.rpartition(".")[2] in wanted}
