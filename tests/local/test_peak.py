"""The estimate of memory is what a real worker takes at its peak on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.peak import SMOL, TINY, Configuration, measure

LORA = {"type": "lora", "rank": 16}


@pytest.mark.slow
@pytest.mark.parametrize(
    "configuration",
    [
        Configuration(TINY, {"type": "full"}, 8, 20),
        Configuration(SMOL, LORA, 1, 100),
        Configuration(SMOL, {"type": "qlora", "rank": 16}, 1, 100, checkpointing=True),
    ],
    ids=str,
)
def test_a_worker_takes_what_was_estimated(configuration: Configuration, tmp_path: Path) -> None:
    found = measure(configuration, tmp_path)
    assert abs(found.error) <= 0.15, f"{found.peak / 1e6:.0f} MB; {found.predicted}"
