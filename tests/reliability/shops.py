"""The two services on loopback, as the tests of reliability use them."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tunekit.backends.http import Http
from tunekit.backends.outcome import Retry
from tunekit.testing.providers.faults import HARSH, Fault
from tunekit.testing.providers.fireworks import LoopbackFireworks
from tunekit.testing.providers.together import LoopbackTogether

ROWS = [
    {"messages": [{"role": "user", "content": f"{n}+1?"}, {"role": "assistant", "content": f"{n}"}]}
    for n in range(24)
]
SPEC = tk.FineTune(model="Qwen/Qwen3-8B", data=ROWS, method=tk.LoRA(rank=8), validation=None)

FLAKY: Mapping[Fault | None, int] = {None: 80, "500-before": 10, "lost-after": 10}
"""One look in five fails."""


class HastyTogether(tk.Together):
    @cached_property
    def http(self) -> Http:
        return dataclasses.replace(super().http, retry=Retry(attempts=1))


class HastyFireworks(tk.Fireworks):
    @cached_property
    def http(self) -> Http:
        return dataclasses.replace(super().http, retry=Retry(attempts=1))


@dataclass(frozen=True)
class Shop:
    """A service, and how its requests are named."""

    name: str
    server: type[LoopbackTogether] | type[LoopbackFireworks]
    create: str
    look: str
    options: Mapping[str, Any]

    def backend(self, server: Any) -> tk.Backend:
        kind = tk.Together if self.name == "together" else tk.Fireworks
        return kind(base_url=server.url, max_cost=math.inf)

    def hasty(self, server: Any) -> tk.Backend:
        """Give a backend that asks once, so that every fault reaches the run."""
        kind = HastyTogether if self.name == "together" else HastyFireworks
        return kind(base_url=server.url, max_cost=math.inf)

    def storm(self, server: Any, *, seed: int) -> None:
        """Let six in ten requests that start a job go wrong, and one look in five."""
        server.faults.weigh(self.create, HARSH, seed=seed)
        server.faults.weigh(self.look, FLAKY, seed=seed + 1)


SHOPS = (
    Shop("together", LoopbackTogether, "POST /v1/fine-tunes$", "GET /v1/fine-tunes$", {"lag": 2}),
    Shop(
        "fireworks",
        LoopbackFireworks,
        "POST /v1/accounts/acme/supervisedFineTuningJobs$",
        "GET /v1/accounts/acme/supervisedFineTuningJobs",
        {},
    ),
)


_MEMORY = Path("/dev/shm")
"""Every step is synced to disk, which a busy machine makes slow; memory is synced in no time."""


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as home:
        monkeypatch.setenv("TUNEKIT_HOME", home)
        _keys(monkeypatch)
        yield


def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "test-key")
    monkeypatch.setenv("FIREWORKS_API_KEY", "test-key")
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "acme")


def marks(server: Any) -> list[str]:
    """Give the mark of each job that was bought and not cancelled."""
    alive = [job for job in server.jobs if "cancel" not in str(job.state).lower()]
    return [getattr(job, "suffix", None) or job.name.rpartition("/")[2] for job in alive]
