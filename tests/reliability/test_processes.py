"""Eight processes submit one run at the same moment: one job."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tunekit as tk
from tests.reliability.shops import SHOPS, SPEC, Shop, keys, marks
from tunekit import models
from tunekit.data.prepare import prepare
from tunekit.running import submission

__all__ = ["keys"]

PROCESSES, ROUNDS = 8, 20
WORKER = """
import sys
import tunekit
from tunekit.errors import RunBusy
for line in sys.stdin:
    try:
        said = tunekit.get(line.strip()).resume().job_id
    except RunBusy:
        said = "busy"
    print(said, flush=True)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)
def test_eight_processes_make_one_job_twenty_times(shop: Shop) -> None:
    prepared = prepare(SPEC)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        with shop.server(**shop.options, ticks=25) as server:
            for _ in range(ROUNDS):
                backend = shop.backend(server)
                plan = backend.plan(SPEC, models.describe(SPEC.model), prepared.profile)
                folder = submission.record(SPEC, plan, backend, prepared)
                said = _all(workers, folder.id)
                job_ids = {word for word in said if word != "busy"}
                assert job_ids == {tk.get(folder.id).job_id}, said
            assert len(marks(server)) == len(set(marks(server))) == ROUNDS
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _all(workers: list[subprocess.Popen[str]], run_id: str) -> list[str]:
    """Give every process the run at once, and gather what each says."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{run_id}\n")
        worker.stdin.flush()
    return [_line(worker) for worker in workers]


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    assert worker.stderr is not None
    return worker.stdout.readline().strip() or worker.stderr.read()
