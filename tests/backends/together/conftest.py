"""A loopback Together, and the key for it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tunekit.backends.together.backend import Together
from tunekit.testing.providers.together import LoopbackTogether


@pytest.fixture
def server() -> Iterator[LoopbackTogether]:
    with LoopbackTogether() as running:
        yield running


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "test-key")


@pytest.fixture
def backend(server: LoopbackTogether) -> Together:
    return Together(base_url=server.url, max_cost=math.inf)
