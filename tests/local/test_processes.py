"""A run belongs to no process: any other can list, watch, wait for and cancel it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tunekit as tk
from tests.local.specs import small
from tunekit import errors

pytestmark = pytest.mark.slow


def _python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_second_process_lists_and_waits_for_a_run_of_the_first(tmp_path: Path) -> None:
    run = tk.submit(small(tmp_path))

    done = _python(
        f"""
import sys, tunekit as tk
assert [r.id for r in tk.runs()] == [{run.id!r}]
found = tk.get({run.id!r}).wait(timeout=100)
print(found.state, "torch" in sys.modules)
"""
    )

    assert done.stdout.split() == ["succeeded", "False"], done.stderr
    assert run.refresh().state is tk.JobState.SUCCEEDED
    assert run.adapter.describe().rank == 4


def test_a_second_process_cancels_a_run_which_ends_as_cancelled(tmp_path: Path) -> None:
    run = tk.submit(small(tmp_path, training={"max_steps": 100_000}))
    for event in run.events():
        if event.kind == "metrics" and "loss" in event.metrics:
            break

    done = _python(f"import tunekit as tk; tk.get({run.id!r}).cancel()")

    assert done.returncode == 0, done.stderr
    with pytest.raises(errors.RunCancelled, match=f"tunekit resume {run.id}"):
        run.wait(timeout=60)
    assert json.loads((run.folder / "run.json").read_text())["state"] == "cancelled"
    assert run.cancel().state is tk.JobState.CANCELLED


def test_a_run_cancelled_while_its_worker_is_still_loading_ends_as_cancelled(
    tmp_path: Path,
) -> None:
    run = tk.submit(small(tmp_path))

    run.cancel()

    with pytest.raises(errors.RunCancelled):
        run.wait(timeout=60)


def test_two_processes_resuming_one_run_start_one_worker(tmp_path: Path) -> None:
    run = tk.submit(small(tmp_path, training={"max_steps": 100_000}))
    run.cancel()
    with pytest.raises(errors.RunCancelled):
        run.wait(timeout=60)
    script = f"""
import tunekit as tk
try:
    tk.get({run.id!r}).resume()
    print("won")
except tk.TunekitError as error:
    print(type(error).__name__, error)
"""

    with ThreadPoolExecutor(4) as pool:
        answers = [done.stdout for done in pool.map(_python, [script] * 4)]

    assert sorted(answer.split()[0] for answer in answers) == [
        "RunBusy",
        "RunBusy",
        "RunBusy",
        "won",
    ]
    run.refresh().cancel()
    with pytest.raises(errors.RunCancelled):
        run.wait(timeout=60)


def test_waiting_with_a_timeout_leaves_the_job_going(tmp_path: Path) -> None:
    run = tk.submit(small(tmp_path))

    with pytest.raises(errors.RunTimeout, match=f"tunekit wait {run.id}"):
        run.wait(timeout=0)

    assert run.wait(timeout=100).state is tk.JobState.SUCCEEDED


def test_a_worker_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    small(tmp_path)
    done = _python(
        f"""
from pathlib import Path
from tests.local.specs import small
import tunekit as tk
print(tk.submit(small(Path({str(tmp_path)!r}))).id)
"""
    )

    run = tk.get(done.stdout.strip())

    assert run.wait(timeout=100).state is tk.JobState.SUCCEEDED
