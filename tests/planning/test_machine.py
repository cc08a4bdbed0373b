"""The machine is read from /proc, /sys and nvidia-smi, never through torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunekit.planning.machine import Machine, cpu_flags, cpu_quota, detect, memory_limit

GIB = 2**30


@pytest.fixture(autouse=True)
def _eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


LINUX = {
    "proc/meminfo": "MemTotal:       25165824 kB\nMemFree:         1024 kB\n",
    "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu avx2 avx512f\n",
    "proc/self/cgroup": "0::/\n",
}


def look(root: Path, **environment: str) -> Machine:
    return detect(root=root, environment={"PATH": "", **environment}, system="Linux x86_64")


def test_a_plain_processor_trains_in_float32(tmp_path: Path) -> None:
    assert look(tree(tmp_path, LINUX)) == Machine(
        device="cpu",
        devices=1,
        threads=8,
        memory_bytes=24 * GIB,
        bf16=False,
        reason="no CUDA device is visible; the processor has no bfloat16 instructions "
        "(AVX512-BF16, AMX); 8 processors may be used",
    )


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_a_processor_with_bfloat16_instructions_is_seen(flag: str, tmp_path: Path) -> None:
    flags = f"flags\t\t: fpu avx512f {flag} sse\n"
    machine = look(tree(tmp_path, {**LINUX, "proc/cpuinfo": flags}))
    assert machine.bf16
    assert "the processor multiplies bfloat16" in machine.reason


def test_a_flag_that_only_begins_alike_does_not_count(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/cpuinfo": "flags : avx512_bf16x\nflags : avx512_bf16\n"})
    assert cpu_flags(tmp_path) == {"avx512_bf16x"}


GROUPS = {
    "version 2": (
        {"proc/self/cgroup": "0::/pod/box\n", "sys/fs/cgroup/pod/box/cpu.max": "250000 100000"},
        2.5,
    ),
    "version 2, limit above": (
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/pod/box/cpu.max": "max 100000",
            "sys/fs/cgroup/pod/cpu.max": "300000 100000",
        },
        3.0,
    ),
    "version 2, own group is the top": (
        {"proc/self/cgroup": "0::/docker/1f\n", "sys/fs/cgroup/cpu.max": "150000 100000"},
        1.5,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/docker/1f\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "400000",
            "sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_period_us": "100000",
        },
        4.0,
    ),
    "version 1 without a limit": (
        {
            "proc/self/cgroup": "1:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        None,
    ),
    "no groups": ({}, None),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_quota_of_the_control_group_is_read(name: str, tmp_path: Path) -> None:
    files, quota = GROUPS[name]
    assert cpu_quota(tree(tmp_path, files)) == quota


def test_threads_follow_the_quota_and_never_fall_below_one(tmp_path: Path) -> None:
    tree(tmp_path, {**LINUX, "sys/fs/cgroup/cpu.max": "250000 100000"})
    machine = look(tmp_path)
    assert machine.threads == 2
    assert machine.reason.endswith("the container may use 2.5 processors")
    tree(tmp_path, {"sys/fs/cgroup/cpu.max": "50000 100000"})
    assert look(tmp_path).threads == 1


def test_threads_follow_the_user(tmp_path: Path) -> None:
    machine = look(tree(tmp_path, LINUX), OMP_NUM_THREADS="3")
    assert machine.threads == 3
    assert machine.reason.endswith("OMP_NUM_THREADS is 3")
    assert look(tmp_path, OMP_NUM_THREADS="many").threads == 8
    assert look(tmp_path, OMP_NUM_THREADS="64").threads == 8


def test_threads_follow_the_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert look(tree(tmp_path, LINUX)).threads == 1


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 24 * GIB),
        ({"sys/fs/cgroup/memory.max": str(4 * GIB)}, 4 * GIB),
        ({"sys/fs/cgroup/memory.max": "max"}, 24 * GIB),
        (
            {
                "proc/self/cgroup": "2:memory:/box\n",
                "sys/fs/cgroup/memory/box/memory.limit_in_bytes": str(2 * GIB),
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            2 * GIB,
        ),
    ],
)
def test_memory_is_the_least_of_machine_and_group(
    files: dict[str, str], limit: int, tmp_path: Path
) -> None:
    assert memory_limit(tree(tmp_path, {**LINUX, **files})) == limit


CARDS = (
    "0, GPU-aaaa-1111, 143771, 9.0, NVIDIA H200\n1, GPU-bbbb-2222, 15360, 7.5, Tesla T4, server\n"
)


def smi(folder: Path, output: str, *, code: int = 0) -> str:
    """Put an nvidia-smi on a PATH of its own."""
    folder.mkdir(exist_ok=True)
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{output}END\nexit {code}\n")
    command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_cards_are_described_by_nvidia_smi(tmp_path: Path) -> None:
    path = smi(tmp_path / "bin", CARDS.splitlines(keepends=True)[0])
    machine = look(tree(tmp_path, LINUX), PATH=path)
    assert machine == Machine(
        device="cuda",
        devices=1,
        threads=8,
        memory_bytes=143771 * 2**20,
        bf16=True,
        reason="1 CUDA device: NVIDIA H200; 8 processors may be used",
    )


@pytest.mark.parametrize(
    ("visible", "devices", "memory", "bf16"),
    [
        (None, 2, 15360, False),
        ("0", 1, 143771, True),
        ("1", 1, 15360, False),
        ("1,0", 2, 15360, False),
        ("GPU-aaaa", 1, 143771, True),
    ],
)
def test_the_visible_cards_count_and_the_weakest_decides(
    visible: str | None, devices: int, memory: int, bf16: bool, tmp_path: Path
) -> None:
    chosen = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    machine = look(tree(tmp_path, LINUX), PATH=smi(tmp_path / "bin", CARDS), **chosen)
    assert (machine.device, machine.devices) == ("cuda", devices)
    assert (machine.memory_bytes, machine.bf16) == (memory * 2**20, bf16)


@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles"])
def test_hidden_cards_are_not_used(visible: str, tmp_path: Path) -> None:
    path = smi(tmp_path / "bin", CARDS)
    assert look(tree(tmp_path, LINUX), PATH=path, CUDA_VISIBLE_DEVICES=visible).device == "cpu"


def test_a_driver_without_nvidia_smi_is_believed(tmp_path: Path) -> None:
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / bus).mkdir(parents=True)
    machine = look(tree(tmp_path, LINUX))
    assert (machine.device, machine.devices, machine.bf16) == ("cuda", 2, False)
    assert machine.memory_bytes == 0
    assert look(tmp_path, CUDA_VISIBLE_DEVICES="1").devices == 1


def test_a_variable_left_over_on_a_machine_without_cards_is_not_believed(tmp_path: Path) -> None:
    assert look(tree(tmp_path, LINUX), CUDA_VISIBLE_DEVICES="0").device == "cpu"


def test_nvidia_smi_without_a_driver_means_no_card(tmp_path: Path) -> None:
    path = smi(tmp_path / "bin", "NVIDIA-SMI has failed\n", code=9)
    assert look(tree(tmp_path, LINUX), PATH=path).device == "cpu"


def test_apple_silicon_trains_on_mps(tmp_path: Path) -> None:
    machine = detect(root=tmp_path, environment={"PATH": ""}, system="Darwin arm64")
    assert (machine.device, machine.devices, machine.bf16) == ("mps", 1, False)
    assert machine.memory_bytes > 0
    assert detect(root=tmp_path, environment={"PATH": ""}, system="Darwin x86_64").device == "cpu"


def test_this_machine_is_found_without_torch() -> None:
    code = (
        "import sys; from tunekit.planning.machine import detect; m = detect();"
        "assert m.threads >= 1 and m.memory_bytes > 2**28, m;"
        "print(sorted({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
