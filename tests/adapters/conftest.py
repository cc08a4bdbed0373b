from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.adapters.made import peft_model, saved
from tests.tiny import tiny_model


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """An adapter of rank 4 on two kinds of layers, with the tokenizer beside it."""
    folder = saved(peft_model(base), tmp_path_factory.mktemp("trained"))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(base / name, folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, trained: Path) -> Path:
    """A copy of the adapter, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "adapter"))


@pytest.fixture
def model_folder(tmp_path: Path, base: Path) -> Path:
    """A copy of the full model, to be damaged."""
    return Path(shutil.copytree(base, tmp_path / "model"))
