"""Threads look for work before they sleep where nobody else wants the processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunekit.backends.local.waiting import SPINS, spins


def a_machine(root: Path, waits: float) -> Path:
    (root / "proc" / "pressure").mkdir(parents=True)
    said = f"some avg10={waits:.2f} avg60=50.00 avg300=1.00 total=9\nfull avg10=0.00\n"
    (root / "proc" / "pressure" / "cpu").write_text(said)
    return root


@pytest.mark.parametrize(("waits", "expected"), [(0.0, SPINS), (24.9, SPINS), (25.1, 0), (94.2, 0)])
def test_it_is_the_pressure_of_the_last_seconds_that_counts(
    tmp_path: Path, waits: float, expected: int
) -> None:
    assert spins(root=a_machine(tmp_path, waits)) == expected


@pytest.mark.parametrize(("load", "expected"), [(0.5, SPINS), (8.0, 0)])
def test_without_it_the_load_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: float, expected: int
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert spins(root=tmp_path) == expected
