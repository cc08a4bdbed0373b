"""Memory and time of a run before it begins, as a plan tells them."""

from __future__ import annotations

from dataclasses import dataclass

from tunekit.data.profile import Profile
from tunekit.planning import flops
from tunekit.planning.activations import Step
from tunekit.planning.fit import Remedy, need, on_device, remedies
from tunekit.planning.machine import Machine
from tunekit.planning.plan import Estimate
from tunekit.planning.shape import Shape
from tunekit.planning.speed import expect
from tunekit.spec.methods import QLoRA


@dataclass(frozen=True)
class Workload:
    """A run on this machine, as far as memory and time go."""

    size: Shape
    step: Step
    """The largest portion of a batch that passes at once, on each device."""
    batch: int
    """Sequences per optimizer step, over all devices."""
    passes: float
    """Times that the rows are gone through."""
    unsloth: bool = False
    """Unsloth's kernels train."""


def foresee(
    work: Workload, data: Profile, machine: Machine
) -> tuple[tuple[Estimate, ...], tuple[str, ...]]:
    """Give the estimates of memory and time, and a warning where the memory will not do."""
    told, warning = _memory(work, machine)
    return (told, _time(work, data, machine)), warning


def _memory(work: Workload, machine: Machine) -> tuple[Estimate, tuple[str, ...]]:
    found = on_device(work.size, work.step, machine.device)
    there, wanted = machine.memory_bytes, need(found)
    reason = f"{found}; {work.step.tokens:,} tokens at once"
    warnings: tuple[str, ...] = ()
    if not there:
        reason += "; the memory of the device is unknown"
    elif wanted <= there:
        reason += f"; fits into {_gb(there)}"
    else:
        reason += f"; {_gb(there)} there"
        warnings = (_advice(work, machine, wanted),)
    return Estimate(name="memory", value=_round(found.total / 1e9), unit="GB", reason=reason), (
        warnings
    )


def _advice(work: Workload, machine: Machine, wanted: float) -> str:
    """Say what is missing and which settings help most."""
    there = machine.memory_bytes
    told = f"memory: {_gb(wanted)} with room for error, and the {machine.device} has {_gb(there)}"
    helpful = remedies(work.size, work.step, device=machine.device)
    if not helpful:
        return f"{told}; choose a smaller model or a larger device"
    told += "; what helps most: " + ", ".join(_told(remedy) for remedy in helpful)
    if helpful[0].need > there:
        told += "; none of these is enough alone"
    return told


def _told(remedy: Remedy) -> str:
    return f"{remedy.setting} ({_gb(remedy.need)})"


def _time(work: Workload, data: Profile, machine: Machine) -> Estimate:
    """Estimate the training itself, without loading, evaluation and checkpoints."""
    mean = data.tokens / max(1, data.rows)
    tokens = work.passes * data.tokens
    step = work.step
    each = flops.per_token(
        work.size,
        step.method,
        rank=step.rank,
        length=mean,
        checkpointing=step.checkpointing,
        reference=step.reference,
    )
    speed = expect(
        machine,
        dtype=step.dtype,
        tokens=min(step.tokens, mean * step.rows),
        quantized=isinstance(step.method, QLoRA),
        passes="unsloth" if work.unsloth else "own" if step.fast else "reference",
    )
    minutes = tokens * each / speed.useful / 60
    reason = (
        f"{tokens:,.0f} tokens x {each / 1e9:.3g} GFLOPs at {speed.reason}; right within a factor "
        "of two; the progress bar knows better after five steps"
    )
    return Estimate(name="time", value=_round(minutes), unit="min", reason=reason)


def _round(value: float) -> float:
    """Keep the digits that an estimate can bear."""
    return float(f"{value:.2g}")


def _gb(number: float) -> str:
    return f"{number / 1e9:.1f} GB"
