"""The command that compares methods by memory and time, before anything is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from tunekit import models
from tunekit.backends.local.kernels import understood
from tunekit.cli import output
from tunekit.cli.options import AsJson
from tunekit.errors import SpecError
from tunekit.models import Model
from tunekit.planning.comparison import Choice, compare
from tunekit.planning.machine import Machine, detect
from tunekit.planning.meta import count_parameters
from tunekit.planning.shape import Shape, shape
from tunekit.planning.speed import CARDS

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "GB": 1e9, "GIB": 2.0**30, "TB": 1e12}


def estimate(
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Hub id, folder, config.json or embedded model.", metavar="MODEL"
        ),
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="Memory of a GPU, or its name: 24GB, H100. By default this machine.",
            show_default=False,
        ),
    ] = None,
    length: Annotated[int, typer.Option(min=1, help="Tokens of a row.")] = 2048,
    batch: Annotated[int, typer.Option(min=1, help="Rows that pass at once.")] = 1,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 16,
    parameters: Annotated[
        str | None,
        typer.Option(help="Size of a model that is not at hand: 8B.", show_default=False),
    ] = None,
    hidden: Annotated[int | None, typer.Option(min=1, help="Its hidden size.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Its layers.")] = None,
    vocabulary: Annotated[int, typer.Option(min=1, help="Its vocabulary.")] = 128_256,
    as_json: AsJson = False,
) -> None:
    """Compare methods: memory, what fits, and time, for a model and a device."""
    known = _model(model, parameters, hidden=hidden, layers=layers, vocabulary=vocabulary)
    size = shape(known)
    if size is None:
        raise SpecError(
            f"model: the sizes of {known.id} are not known here; give the folder with its "
            "config.json, or --parameters 8B --hidden 4096"
        )
    machine = _machine(gpu)
    dtype = "bfloat16" if machine.bf16 else "float32"
    fast = understood(known, machine)
    choices = list(
        compare(size, machine, length=length, batch=batch, rank=rank, dtype=dtype, fast=fast)
    )
    asked = {"length": length, "batch": batch, "rank": rank, "dtype": dtype}
    if as_json:
        output.emit(_facts(known, size, machine, asked=asked, choices=choices))
        return
    output.show(_title(known, size, machine, asked=asked))
    columns = ["method", "checkpointing", "memory", "fits", "largest batch", "1M tokens", "time"]
    output.show(output.table(columns, [_row(choice) for choice in choices]))
    if any(choice.fast for choice in choices):
        output.note("LoRA and QLoRA as the local backend trains them, with kernels: fast.")
    output.note(
        "Memory is within 15 % of nine in ten published measurements; fits leaves 10 %. Times are "
        "right within a factor of two."
    )


def _model(
    name: str | None,
    parameters: str | None,
    *,
    hidden: int | None,
    layers: int | None,
    vocabulary: int,
) -> Model:
    if name is None:
        if parameters is None or hidden is None:
            raise SpecError("model: give --model, or --parameters 8B --hidden 4096")
        count = int(_number(parameters, "parameters"))
        return models.imagined(count, hidden, layers=layers, vocabulary=vocabulary)
    known = models.configured(Path(name)) if name.endswith(".json") else models.describe(name)
    if known.parameters is None and known.folder is not None:
        return known.model_copy(update={"parameters": count_parameters(Path(known.folder))})
    return known


def _machine(gpu: str | None) -> Machine:
    """Give the machine at hand, or one with such a GPU."""
    if gpu is None:
        return detect()
    for name, (_, memory) in CARDS.items():
        if gpu.upper().replace("RTX", "").strip() == name.upper().replace("RTX", "").strip():
            return Machine("cuda", 1, 1, memory * 10**9, True, name)
    memory_bytes = int(_number(gpu if re.search("[a-zA-Z]", gpu) else f"{gpu}GB", "gpu"))
    return Machine("cuda", 1, 1, memory_bytes, True, f"a GPU of {gpu}")


def _number(text: str, option: str) -> float:
    """Read 8B, 24GB, 80GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    unit = found and _UNITS.get(found[2].upper())
    if not found or unit is None or float(found[1]) <= 0:
        example = "24GB, or one of " + ", ".join(CARDS) if option == "gpu" else "8B"
        raise SpecError(f"--{option}: {text!r} is no size; write {example}")
    return float(found[1]) * unit


def _title(known: Model, size: Shape, machine: Machine, *, asked: dict[str, Any]) -> str:
    return (
        f"{known.id}, {size.parameters / 1e9:.3g} billion parameters, on "
        f"{machine.memory_bytes / 1e9:.4g} GB ({machine.device}, {asked['dtype']}): "
        f"{asked['batch']} x {asked['length']:,} tokens at once, rank {asked['rank']}"
    )


def _row(choice: Choice) -> list[str]:
    return [
        choice.method,
        "on" if choice.checkpointing else "off",
        f"{choice.memory.total / 1e9:.1f} GB",
        "yes" if choice.fits else "no",
        str(choice.largest_batch or "-"),
        f"{choice.flops:.1e} FLOPs",
        _duration(choice.seconds),
    ]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"


def _facts(
    known: Model,
    size: Shape,
    machine: Machine,
    *,
    asked: dict[str, Any],
    choices: list[Choice],
) -> dict[str, Any]:
    return {
        "model": known.id,
        "parameters": size.parameters,
        "device": machine.device,
        "device_bytes": machine.memory_bytes,
        **asked,
        "choices": [
            {
                "method": choice.method,
                "checkpointing": choice.checkpointing,
                "kernels": "fast" if choice.fast else "reference",
                "bytes": round(choice.memory.total),
                "components": {name: round(part) for name, part in choice.memory.parts.items()},
                "fits": choice.fits,
                "largest_batch": choice.largest_batch,
                "flops_per_million_tokens": choice.flops,
                "seconds_per_million_tokens": round(choice.seconds, 1),
            }
            for choice in choices
        ],
    }
