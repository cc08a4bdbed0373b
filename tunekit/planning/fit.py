"""Whether a step fits a device, and which settings help most where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tunekit.planning.activations import Step
from tunekit.planning.memory import MARGIN, Memory, estimate
from tunekit.planning.shape import Shape
from tunekit.planning.stack import local
from tunekit.spec.methods import Full, LoRA, QLoRA

SUGGESTIONS = 3
SHORTEST = 512
"""Tokens of a row below which shorter rows are not suggested."""


@dataclass(frozen=True)
class Remedy:
    """A change of one setting and the bytes that are needed with it."""

    setting: str
    need: float


def need(memory: Memory) -> float:
    """Give the bytes to have: the estimate with room for its error."""
    return MARGIN * (memory.total - memory.context) + memory.context


def on_device(size: Shape, step: Step, device: str) -> Memory:
    """Give the memory that a step of the local backend takes."""
    return estimate(size, step, local(step.method, device=device, dtype=step.dtype))


def remedies(size: Shape, step: Step, *, device: str) -> list[Remedy]:
    """Give the settings that help most, the most helpful first."""
    now = need(on_device(size, step, device))
    found = [
        Remedy(setting, need(on_device(size, changed, device)))
        for setting, changed in _changes(step)
    ]
    helpful = [remedy for remedy in found if remedy.need < 0.98 * now]
    return sorted(helpful, key=lambda remedy: remedy.need)[:SUGGESTIONS]


def largest_rows(size: Shape, step: Step, *, device: str, memory: float) -> int:
    """Give how many rows of the step's length fit at once, 0 for none.

    `step.tokens` is the length of one row.
    """

    def fits(rows: int) -> bool:
        many = replace(step, tokens=rows * step.tokens, rows=rows, joined=rows > 1)
        return need(on_device(size, many, device)) <= memory

    if not fits(1):
        return 0
    high = 2
    while fits(high) and high < 4096:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _changes(step: Step) -> Iterator[tuple[str, Step]]:
    """Give each setting that could help, as `--set` takes it, and the step with it."""
    if not step.checkpointing:
        yield "training.gradient_checkpointing=true", replace(step, checkpointing=True)
    if step.rows > 1:
        smaller = replace(step, rows=1, tokens=step.tokens // step.rows, accumulates=True)
        yield "training.batch_size=1", smaller
    row = step.tokens // step.rows
    if row >= 2 * SHORTEST:
        half = replace(step, tokens=step.tokens // 2)
        yield f"training.max_length={row // 2}", half
    if isinstance(step.method, Full):
        yield "method=lora", replace(step, method=LoRA(), rank=step.rank or 16)
    if not isinstance(step.method, QLoRA):
        targets = step.method.target_modules if isinstance(step.method, LoRA) else "all-linear"
        smaller = replace(step, method=QLoRA(target_modules=targets), rank=step.rank or 16)
        yield "method=qlora", smaller
    elif step.method.quantization == "int8":
        nf4 = step.method.model_copy(update={"quantization": "nf4", "double_quantization": True})
        yield "method.quantization=nf4", replace(step, method=nf4)
    if step.dtype == "float32" and not isinstance(step.method, Full):
        yield "training.dtype=bfloat16", replace(step, dtype="bfloat16")
