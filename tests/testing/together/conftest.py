"""A loopback Together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tunekit.testing.providers.together import LoopbackTogether


@pytest.fixture
def server() -> Iterator[LoopbackTogether]:
    with LoopbackTogether() as running:
        yield running
