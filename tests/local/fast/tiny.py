"""Tiny models of each family with adapters on them, and what PEFT and autograd make of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model

from tunekit.backends.local.fast.native import Native
from tunekit.backends.local.fast.operations import Operations
from tunekit.backends.local.fast.stream import IGNORED, Row

VOCABULARY = 61

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama with biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama 3 rotation": (
        "Llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            }
        },
    ),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral with a window": ("Mistral", {"sliding_window": 5}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {"head_dim": 12}),
    "smollm3": ("SmolLM3", {"no_rope_layers": [1, 0]}),
    "gemma": ("Gemma", {"head_dim": 12}),
    "gemma3": (
        "Gemma3",
        {
            "head_dim": 12,
            "sliding_window": 6,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
}
"""By name: what the classes of transformers begin with, and settings."""


@cache
def passes(name: str = "native", dtype: torch.dtype = torch.float32) -> Operations:
    """Give the passes in torch, or the compiled ones."""
    return Operations() if name == "torch" else Native(dtype)


LORA: dict[str, Any] = {"r": 3, "lora_alpha": 6, "target_modules": "all-linear"}


def model(family: str = "llama", *, seed: int = 0, **settings: Any) -> Any:
    """Make a model of two layers with random weights, norms and biases included."""
    name, own = FAMILIES[family]
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.15,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    config = getattr(transformers, f"{name}TextConfig" if name == "Gemma3" else f"{name}Config")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = getattr(transformers, f"{name}ForCausalLM")(config(**{**sizes, **own, **settings}))
        for key, weight in made.named_parameters():
            if "norm" in key or "bias" in key:
                weight.data += 0.2 * torch.randn_like(weight)
    return made


def adapted(base: Any, *, seed: int = 1, **settings: Any) -> Any:
    """Put an adapter on it that changes something already."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(**{**LORA, **settings, "task_type": "CAUSAL_LM"})
        made = get_peft_model(base, config)
        for key, weight in made.named_parameters():
            if "lora_B" in key:
                weight.data += 0.1 * torch.randn_like(weight)
    return made


def some_rows(lengths: Sequence[int], *, seed: int = 2, alike: int = 0) -> list[Row]:
    """Rows of random tokens, the first `alike` the same in all; about half of them are labelled."""
    generator = torch.Generator().manual_seed(seed)
    beginning = torch.randint(3, VOCABULARY, (alike,), generator=generator)
    found: list[Row] = []
    for length in lengths:
        tokens = torch.randint(3, VOCABULARY, (length,), generator=generator)
        tokens[: min(alike, length)] = beginning[:length]
        labelled = torch.rand(length, generator=generator) < 0.5
        labels = tokens.where(labelled, torch.tensor(IGNORED))
        found.append(Row(tokens.tolist(), labels.tolist()))
    return found


@dataclass(frozen=True)
class Found:
    """Log-probabilities of the labels, rows in order, and the gradient of each adapter's tensor."""

    log_probs: torch.Tensor
    gradients: dict[str, torch.Tensor]


def padded(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Give a batch as TRL's collator does, padded on the right."""
    width = max(len(row.tokens) for row in rows)
    batch = {
        "input_ids": torch.zeros(len(rows), width, dtype=torch.long),
        "attention_mask": torch.zeros(len(rows), width, dtype=torch.long),
        "labels": torch.full((len(rows), width), IGNORED),
    }
    for n, row in enumerate(rows):
        batch["input_ids"][n, : len(row.tokens)] = torch.tensor(row.tokens)
        batch["attention_mask"][n, : len(row.tokens)] = 1
        batch["labels"][n, : len(row.tokens)] = torch.tensor(row.labels)
    return batch


def weights(count: int) -> torch.Tensor:
    """Give each label a weight of its own in what is differentiated."""
    return torch.linspace(-1, 2, count)


def by_autograd(peft_model: Any, rows: Sequence[Row]) -> Found:
    """Ask PEFT and transformers."""
    device = peft_model.get_input_embeddings().weight.device
    batch = {name: each.to(device) for name, each in padded(rows).items()}
    labels = batch.pop("labels")[:, 1:]
    logits = peft_model(**batch, use_cache=False).logits[:, :-1].float()
    counted = labels != IGNORED
    found = torch.log_softmax(logits, -1)[counted].gather(-1, labels[counted][:, None]).squeeze(-1)
    return Found(found.detach(), _gradients(peft_model, found))


def by_network(peft_model: Any, log_probs: torch.Tensor) -> Found:
    """Differentiate what our passes have found."""
    return Found(log_probs.detach(), _gradients(peft_model, log_probs))


def _gradients(peft_model: Any, log_probs: torch.Tensor) -> dict[str, torch.Tensor]:
    peft_model.zero_grad()
    (log_probs * weights(len(log_probs)).to(log_probs.device)).sum().backward()
    return {
        name: weight.grad.clone()
        for name, weight in peft_model.named_parameters()
        if weight.grad is not None
    }


def worst(found: Found, expected: Found) -> float:
    """Give the largest relative error of a gradient, by norm and tensor for tensor.

    One that should vanish, as of queries that see a single key, is compared with the largest.
    """
    assert found.gradients.keys() == expected.gradients.keys()
    norms = {name: float(gradient.norm()) for name, gradient in expected.gradients.items()}
    floor = 1e-2 * max(1.0, *norms.values())
    return max(
        float((found.gradients[name] - gradient).norm()) / max(norms[name], floor)
        for name, gradient in expected.gradients.items()
    )
