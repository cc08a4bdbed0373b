"""What this machine trains on: device, threads, memory; found without torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_HIDDEN = {"", "-1", "none", "void", "NoDevFiles"}
"""Values of CUDA_VISIBLE_DEVICES that hide every device."""

_FAST_BF16 = {"avx512_bf16", "amx_bf16"}
"""Flags in /proc/cpuinfo of processors that multiply in bfloat16."""


@dataclass(frozen=True)
class Machine:
    """The devices that a local run may use."""

    device: str
    """cuda, mps or cpu."""
    devices: int
    """Devices of this kind; 1 for mps and cpu."""
    threads: int
    """Processors that this process may keep busy."""
    memory_bytes: int
    """Memory of one device; 0 when it cannot be found out."""
    bf16: bool
    """Whether the device multiplies bfloat16 at full speed."""
    reason: str
    """Where the numbers come from, in one sentence."""


def detect(
    *,
    root: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    system: str = "",
) -> Machine:
    """Look at the machine: CUDA first, then Apple's MPS, then the processor.

    Args:
        root: where /proc and /sys are.
        environment: variables in place of this process's own.
        system: such as "Linux x86_64", in place of this machine's.
    """
    variables = os.environ if environment is None else environment
    system = system or f"{platform.system()} {platform.machine()}"
    threads, why = count_threads(root, variables)
    if machine := _cuda(root, variables, threads, why):
        return machine
    memory = memory_limit(root)
    if system == "Darwin arm64":
        reason = f"Apple silicon, memory shared with the processor; {why}"
        return Machine("mps", 1, threads, memory, False, reason)
    bf16 = bool(_FAST_BF16 & cpu_flags(root))
    fast = "multiplies bfloat16" if bf16 else "has no bfloat16 instructions (AVX512-BF16, AMX)"
    reason = f"no CUDA device is visible; the processor {fast}; {why}"
    return Machine("cpu", 1, threads, memory, bf16, reason)


def count_threads(root: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Give the processors that this process may use at once, and why so many.

    More threads than processors make every operation wait for the slowest: the quota of the
    container and the affinity of the process count, not the size of the machine.
    """
    limits = {f"{_affinity()} processors may be used": float(_affinity())}
    if quota := cpu_quota(root):
        limits[f"the container may use {quota:g} processors"] = quota
    asked = environment.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        limits[f"OMP_NUM_THREADS is {asked}"] = float(asked)
    why = min(limits, key=lambda name: limits[name])
    return max(1, int(limits[why])), why


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root: Path) -> float | None:
    """Give the processors that the control group may use, None without a limit.

    Reads version 2 (`cpu.max`) and version 1 (`cpu.cfs_quota_us`), here and in every group above.
    """
    quotas: list[float] = []
    for folder in _groups(root, "cpu"):
        maximum = _text(folder / "cpu.max").split()
        if not maximum:
            maximum = [_text(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period")]
        quota, period = maximum if len(maximum) == 2 else ("", "")
        if quota.isdecimal() and period.isdecimal() and int(period):
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def memory_limit(root: Path) -> int:
    """Give the bytes of memory that the process may use: the machine's, or its group's limit."""
    limits = [_machine_memory(root)]
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _text(folder / name)
            limits.append(int(limit) if limit.isdecimal() else 0)
    return min((limit for limit in limits if limit), default=0)


def _machine_memory(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return 0


def _groups(root: Path, controller: str) -> list[Path]:
    """List the folders of this process's control group and of the groups above it."""
    folders: list[Path] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        # A container often sees its own group as the top, whatever its path outside.
        top = root / "sys/fs/cgroup" / controllers
        group = top / path.lstrip("/")
        folders += [group, *(above for above in group.parents if above.is_relative_to(top))]
    return folders


def cpu_flags(root: Path) -> frozenset[str]:
    """Give the processor's features, as Linux names them."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(flags.split())
    return frozenset()


def _cuda(root: Path, environment: Mapping[str, str], threads: int, why: str) -> Machine | None:
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in _HIDDEN:
        return None
    cards = _nvidia_smi(environment)
    count = len(cards) or _driver_devices(root)
    if visible is not None and count:
        chosen = [part.strip() for part in visible.split(",")]
        cards = [card for card in cards if card.is_one_of(chosen)] or cards
        count = len(chosen)
    if not count:
        return None
    memory = min((card.memory_bytes for card in cards), default=0)
    bf16 = bool(cards) and all(card.compute >= 8 for card in cards)
    name = cards[0].name if cards else "of unknown kind: nvidia-smi does not answer"
    noun = "CUDA device" if count == 1 else "CUDA devices"
    return Machine("cuda", count, threads, memory, bf16, f"{count} {noun}: {name}; {why}")


def _driver_devices(root: Path) -> int:
    """Count the devices that the driver shows where nvidia-smi is missing (containers, WSL)."""
    gpus = root / "proc/driver/nvidia/gpus"
    if gpus.is_dir():
        return len(list(gpus.iterdir()))
    return int((root / "dev/nvidiactl").exists() or (root / "dev/dxg").exists())


@dataclass(frozen=True)
class _Card:
    index: str
    uuid: str
    memory_bytes: int
    compute: float
    """Compute capability; from 8.0 on bfloat16 is fast."""
    name: str

    def is_one_of(self, chosen: list[str]) -> bool:
        """Say whether CUDA_VISIBLE_DEVICES names the card, by number or the start of its UUID."""
        return any(part == self.index or self.uuid.startswith(part or "?") for part in chosen)


def _nvidia_smi(environment: Mapping[str, str]) -> list[_Card]:
    command = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if command is None:
        return []
    fields = "--query-gpu=index,uuid,memory.total,compute_cap,name"
    query = [command, fields, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [card for line in done.stdout.splitlines() if (card := _card(line))]


def _card(line: str) -> _Card | None:
    try:
        index, uuid, memory, compute, name = (part.strip() for part in line.split(",", 4))
        return _Card(index, uuid, int(memory) * 2**20, float(compute), name)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
