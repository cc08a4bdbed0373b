"""A loopback Fireworks, and the keys for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tunekit.backends.fireworks.backend import Fireworks
from tunekit.testing.providers.fireworks import LoopbackFireworks


@pytest.fixture
def server() -> Iterator[LoopbackFireworks]:
    with LoopbackFireworks() as running:
        yield running


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", "test-key")
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "acme")


@pytest.fixture
def backend(server: LoopbackFireworks) -> Fireworks:
    return Fireworks(base_url=server.url, max_cost=100)
