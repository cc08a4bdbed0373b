"""Methods side by side: what each needs of a model on one device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tunekit.planning import flops
from tunekit.planning.activations import Method, Step
from tunekit.planning.fit import largest_rows, need, on_device
from tunekit.planning.machine import Machine
from tunekit.planning.memory import Memory
from tunekit.planning.shape import Shape
from tunekit.planning.speed import expect
from tunekit.spec.methods import Full, LoRA, QLoRA

METHODS: dict[str, Method] = {
    "full": Full(),
    "lora": LoRA(),
    "qlora nf4": QLoRA(),
    "qlora int8": QLoRA(quantization="int8"),
}
MILLION = 1_000_000


@dataclass(frozen=True)
class Choice:
    """A method, with checkpointing or without, on one device."""

    method: str
    checkpointing: bool
    memory: Memory
    """At the batch asked for."""
    need: float
    """Bytes to have: the estimate with room for its error."""
    fits: bool
    largest_batch: int
    """Rows that fit at once; 0 where not even one does."""
    flops: float
    """Floating-point operations of a million tokens."""
    seconds: float
    """Time of a million tokens, right within a factor of two."""
    fast: bool
    """Our own passes compute it."""


def compare(
    size: Shape,
    machine: Machine,
    *,
    length: int,
    batch: int,
    rank: int,
    dtype: str = "bfloat16",
    fast: bool = False,
) -> Iterator[Choice]:
    """Go through the methods; `batch` rows of `length` tokens pass at once.

    With `fast` our own passes compute the methods that they know.
    """
    for name, method in METHODS.items():
        own = fast and isinstance(method, (LoRA, QLoRA))
        for checkpointing in (False, True):
            row = Step(method, dtype, length, rank=rank, checkpointing=checkpointing, fast=own)
            yield _choice(name, row, size, machine=machine, batch=batch)


def _choice(name: str, row: Step, size: Shape, *, machine: Machine, batch: int) -> Choice:
    step = replace(row, tokens=batch * row.tokens, rows=batch, joined=batch > 1)
    memory = on_device(size, step, machine.device)
    there = machine.memory_bytes
    operations = MILLION * flops.per_token(
        size,
        row.method,
        rank=row.rank,
        length=row.tokens,
        checkpointing=row.checkpointing,
    )
    quantized = isinstance(row.method, QLoRA)
    speed = expect(
        machine,
        dtype=row.dtype,
        tokens=step.tokens,
        quantized=quantized,
        passes="own" if row.fast else "reference",
    )
    return Choice(
        method=name,
        checkpointing=row.checkpointing,
        memory=memory,
        need=need(memory),
        fits=need(memory) <= there,
        largest_batch=largest_rows(size, row, device=machine.device, memory=there),
        flops=operations,
        seconds=operations / speed.useful,
        fast=row.fast,
    )
