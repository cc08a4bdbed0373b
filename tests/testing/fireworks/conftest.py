"""A loopback Fireworks, and two clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import fireworks
import httpx
import pytest

from tests.testing.fireworks.client import http_of, sdk_of
from tunekit.testing.providers.fireworks import LoopbackFireworks


@pytest.fixture
def server() -> Iterator[LoopbackFireworks]:
    with LoopbackFireworks() as running:
        yield running


@pytest.fixture
def sdk(server: LoopbackFireworks) -> Iterator[fireworks.Fireworks]:
    with sdk_of(server) as client:
        yield client


@pytest.fixture
def http(server: LoopbackFireworks) -> Iterator[httpx.Client]:
    with http_of(server) as client:
        yield client
