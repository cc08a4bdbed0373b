"""Tiny results of training, written by hand: what PEFT and transformers load, without torch."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WIDTH = 4
_LAYER = "model.layers.0.self_attn.q_proj"


def write_adapter(folder: Path, *, model: str, rank: int = 8, alpha: float = 32.0) -> None:
    """Leave a LoRA adapter of one layer in `folder`, as PEFT saves it.

    A is [rank, 4] and B is [4, rank], every number 0.01: the adapter changes little.
    """
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj"],
        "inference_mode": True,
    }
    _json(folder / "adapter_config.json", config)
    name = f"base_model.model.{_LAYER}"
    write_safetensors(
        folder / "adapter_model.safetensors",
        {
            f"{name}.lora_A.weight": (rank, _WIDTH),
            f"{name}.lora_B.weight": (_WIDTH, rank),
        },
    )


def write_model(folder: Path) -> None:
    """Leave a full model of one layer in `folder`, as transformers saves it."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _WIDTH,
        "intermediate_size": _WIDTH,
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "num_key_value_heads": 1,
        "tie_word_embeddings": True,
        "vocab_size": 8,
    }
    _json(folder / "config.json", config)
    square = (_WIDTH, _WIDTH)
    layer = "model.layers.0"
    square_names = [f"self_attn.{name}_proj" for name in "qkvo"]
    square_names += [f"mlp.{name}_proj" for name in ("gate", "up", "down")]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (8, _WIDTH),
        "model.norm.weight": (_WIDTH,),
        f"{layer}.input_layernorm.weight": (_WIDTH,),
        f"{layer}.post_attention_layernorm.weight": (_WIDTH,),
    }
    write_safetensors(
        folder / "model.safetensors",
        shapes | {f"{layer}.{name}.weight": square for name in square_names},
    )


def write_safetensors(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write float32 tensors of these shapes; every number is 0.01.

    The format: 8 bytes with the length of the header, the header as JSON, the numbers.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, shape in shapes.items():
        count = math.prod(shape)
        numbers = struct.pack(f"<{count}f", *([0.01] * count))
        header[name] = {
            "dtype": "F32",
            "shape": list(shape),
            "data_offsets": [len(body), len(body) + len(numbers)],
        }
        body += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def _json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
