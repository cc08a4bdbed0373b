"""How fast a device computes at best, and what share of that training gets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tunekit.planning.machine import Machine

CARDS: dict[str, tuple[float, int]] = {
    "B200": (2250e12, 180),
    "H200": (989e12, 141),
    "H100": (989e12, 80),
    "A100": (312e12, 80),
    "L40S": (362e12, 48),
    "L40": (181e12, 48),
    "RTX 5090": (210e12, 32),
    "RTX 4090": (165e12, 24),
    "RTX 3090": (71e12, 24),
    "A6000": (155e12, 48),
    "A10G": (70e12, 24),
    "A10": (125e12, 24),
    "V100": (125e12, 32),
    "L4": (121e12, 24),
    "T4": (65e12, 16),
}
"""Dense 16-bit operations per second and GB of memory, from the makers' data sheets."""
_OTHER_CUDA = 100e12
_APPLE = 10e12
_THREAD = {"bfloat16": 350e9, "float32": 100e9}
"""Matrix products of one thread of an AMD EPYC of 2022, with bfloat16 instructions and without.

Between 185e9 and 450e9 in bfloat16 on machines of that name (docs/benchmarks.md).
"""
Passes = Literal["reference", "unsloth", "own"]
"""Whose forward and backward passes: those of transformers and PEFT, Unsloth's, our own."""
_SHARES: dict[str, dict[Passes, float]] = {
    "cpu": {"reference": 0.18, "unsloth": 0.2, "own": 0.5},
    "cuda": {"reference": 0.25, "unsloth": 0.33, "own": 0.33},
    "mps": {"reference": 0.2, "unsloth": 0.2, "own": 0.2},
}
"""Of a CPU from our own benchmarks, of our own passes on a GPU as of Unsloth's: not measured."""
SMALL = 2048
"""Tokens per step under which a GPU waits for its next kernel more than it computes."""


@dataclass(frozen=True)
class Speed:
    """A peak and the share of it that is expected, with where they are from."""

    peak: float
    """Operations per second of all devices together."""
    share: float
    """Model FLOPs utilisation: useful operations over possible ones."""
    reason: str

    @property
    def useful(self) -> float:
        """Operations per second to count with."""
        return self.peak * self.share


def expect(
    machine: Machine, *, dtype: str, tokens: float, quantized: bool, passes: Passes = "reference"
) -> Speed:
    """Give a prior for a step of `tokens` tokens on each device.

    The shares of GPUs are those that published throughputs of one come to: 0.26 for TRL with LoRA
    on an A100 (LLaMA-Factory) and on an L40S (PEFT's method comparison), 0.35 with Unsloth, 0.21
    with a 4-bit base. They can be off by a factor of two; five timed steps know better.
    """
    peak, name = _peak(machine, dtype)
    share = _SHARES[machine.device][passes]
    if machine.device == "cuda":
        if peak >= 900e12 and passes == "reference":
            share = 0.2
        share = min(share, 0.15) if tokens < SMALL else share
    if quantized and not (machine.device == "cpu" and passes == "own"):
        share *= 0.8
    return Speed(
        peak * machine.devices, share, f"{share:.0%} of {_rate(peak * machine.devices)} ({name})"
    )


def _peak(machine: Machine, dtype: str) -> tuple[float, str]:
    if machine.device == "cpu":
        kind = dtype if machine.bf16 else "float32"
        threads = machine.threads
        return threads * _THREAD[kind], f"{threads} thread{'s' * (threads > 1)}, {dtype}"
    if machine.device == "mps":
        return _APPLE, "Apple silicon"
    for name, (peak, _) in CARDS.items():
        if re.search(rf"\b{name}\b", machine.reason):
            return (peak / 2 if dtype == "float32" else peak), f"{name}, {dtype}"
    return _OTHER_CUDA, "a GPU that is not in our table"


def _rate(operations: float) -> str:
    if operations >= 1e12:
        return f"{operations / 1e12:.3g} TFLOP/s"
    return f"{operations / 1e9:.3g} GFLOP/s"
