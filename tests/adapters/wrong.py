"""Ways to make an adapter another one than was asked for, and a hub cache that holds its base."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.adapters.made import (
    FIRST,
    change_config,
    change_header,
    change_weights,
    peft_model,
    saved,
)
from tests.tiny import tiny_model
from tunekit.adapters import origin
from tunekit.adapters.asked import Asked
from tunekit.adapters.gate import WEIGHTS

BASE = "org/model"
SECOND = "base_model.model.model.layers.1.self_attn.q_proj"
DOWN = "base_model.model.model.layers.1.mlp.down_proj"
ASKED = Asked("adapter", BASE, rank=4, target_modules=("q_proj", "down_proj"))
ABSENT = Asked("adapter", "org/absent", rank=4, target_modules=("q_proj", "down_proj"), layers=2)

Damage = Callable[[Path], Any]


def put(cache: Path, name: str, model: Path) -> None:
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "snapshots").mkdir()
    (folder / "refs" / "main").write_text("c0ffee")
    (folder / "snapshots" / "c0ffee").symlink_to(model)


def weights(change: Callable[[dict[str, Any]], Any]) -> Damage:
    return lambda folder: change_weights(folder, change)


def config(**values: Any) -> Damage:
    return lambda folder: change_config(folder, **values)


def header(old: str, new: str) -> Damage:
    return lambda folder: change_header(folder, lambda text: text.replace(old, new))


def drop(module: str) -> Damage:
    return weights(lambda t: [t.pop(f"{module}.lora_{half}.weight") for half in "AB"])


def rename(old: str, new: str) -> Damage:
    def change(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[name.replace(old, new)] = tensors.pop(name)

    return weights(change)


def copy(module: str, new: str) -> Damage:
    def change(tensors: dict[str, Any]) -> None:
        for half in "AB":
            tensors[f"{new}.lora_{half}.weight"] = tensors[f"{module}.lora_{half}.weight"].clone()

    return weights(change)


def fill(value: float, *halves: str) -> Damage:
    def change(tensors: dict[str, Any]) -> None:
        for name in tensors:
            if any(f"lora_{half}" in name for half in halves):
                tensors[name].fill_(value)

    return weights(change)


def put_one(value: float) -> Damage:
    return weights(lambda t: t[f"{SECOND}.lora_B.weight"].view(-1).__setitem__(5, value))


def widen(tensors: dict[str, Any]) -> None:
    import torch

    tensors[f"{DOWN}.lora_A.weight"] = torch.ones(4, 128)


def trained_on(base: Path | None = None, **settings: Any) -> Damage:
    """Put an adapter of another training in the place of this one."""

    def replace(folder: Path) -> None:
        model = base or origin.find(BASE)
        assert model
        shutil.rmtree(folder)
        saved(peft_model(model, **settings), folder)
        change_config(folder, base_model_name_or_path=BASE)

    return replace


def on_another(**sizes: int) -> Damage:
    def replace(folder: Path) -> None:
        other = tiny_model(folder.parent / "other", **sizes)
        trained_on(base=other)(folder)

    return replace


def junk(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"<script>")


def cut(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-8])


def twice(folder: Path) -> None:
    def change(text: str) -> str:
        entry = re.search(rf'"{re.escape(FIRST)}\.lora_A\.weight":{{[^}}]*}}', text)
        assert entry
        return text.replace("{", "{" + entry.group() + ",", 1)

    change_header(folder, change)


def many(folder: Path) -> None:
    """A header of 100,000 tensors of no numbers."""
    empty = '"e%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
    change_header(
        folder, lambda text: text.replace("{", "{" + "".join(empty % n for n in range(100_000)), 1)
    )


def full(folder: Path) -> None:
    model = tiny_model(folder.parent / "full")
    shutil.rmtree(folder)
    shutil.move(model, folder)
