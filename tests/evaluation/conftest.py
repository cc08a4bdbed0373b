from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import tiny_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model(folder: Path) -> Any:
    """Its layers are made louder, or it would say the prompt's last token for ever."""
    from transformers import AutoModelForCausalLM

    made = AutoModelForCausalLM.from_pretrained(folder)
    for name, weight in made.named_parameters():
        if "proj" in name:
            weight.data *= 4
    return made


@pytest.fixture
def tuned(model: Any) -> Any:
    """A PEFT model in training mode, with dropout, whose adapter does something."""
    import torch
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_dropout=0.5, target_modules=["q_proj", "down_proj"]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        made = get_peft_model(model, settings)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=noise))
    return made.train()


@pytest.fixture(scope="session")
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
