"""Adapters and models made by PEFT and transformers, and ways to damage them."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunekit.adapters.gate import CONFIG, WEIGHTS

FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


def peft_model(base: Path, *, seed: int = 1, **settings: Any) -> Any:
    """Put a LoRA on the base, with weights as if it had been trained."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    wanted = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base),
            LoraConfig(task_type="CAUSAL_LM", **wanted),
        )
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad and "magnitude" not in name:
                weight += torch.randn(weight.shape, generator=noise) * 0.1
    return model.eval()


def saved(model: Any, folder: Path) -> Path:
    """Save as PEFT does, without its model card."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    return folder


def change_config(folder: Path, **values: Any) -> None:
    file = folder / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def change_weights(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Load the tensors (as torch's), change the mapping, save it again."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def change_header(folder: Path, change: Callable[[str], str]) -> None:
    """Rewrite the text of the safetensors header; the numbers stay."""
    file = folder / WEIGHTS
    content = file.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    text = change(content[8 : 8 + length].decode()).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
