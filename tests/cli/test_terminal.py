"""The command line as a process: signals, pipes, completion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.specs import spec_file
from tests.tiny import tiny_model
from tunekit.running.run import get

TUNEKIT = [sys.executable, "-m", "tunekit.cli.app"]


def heed() -> None:
    """Let Ctrl-C interrupt, as in a terminal: whatever is started with `&` begins deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_the_job_going_and_says_how_to_take_it_up_again(tmp_path: Path) -> None:
    path = spec_file(tmp_path, backend={"steps": 100_000})
    process = subprocess.Popen(
        [*TUNEKIT, "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        preexec_fn=heed,
    )
    assert process.stderr is not None
    run_id = process.stderr.readline().split()[0]
    while "running" not in process.stderr.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGINT)

    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert f"tunekit wait {run_id}" in said
    assert "Traceback" not in said
    assert not get(run_id).state.terminal


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_does_not_reach_the_worker(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    path = spec_file(
        tmp_path, model=str(model), training={"max_steps": 30}, backend={"type": "local"}
    )
    process = subprocess.Popen(
        [*TUNEKIT, "run", str(path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed,
    )
    assert process.stderr is not None
    run_id = process.stderr.readline().split()[0]

    # A terminal signals the whole group of processes.
    os.killpg(process.pid, signal.SIGINT)

    process.communicate(timeout=30)
    assert process.returncode == 130
    done = subprocess.run([*TUNEKIT, "wait", run_id, "--json"], capture_output=True, check=False)
    assert json.loads(done.stdout)["state"] == "succeeded"


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [*TUNEKIT, "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )

    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "sorry" not in done.stderr


def test_lines_in_a_pipe_do_not_end_in_blanks(tmp_path: Path) -> None:
    path = spec_file(tmp_path)

    done = subprocess.run([*TUNEKIT, "plan", str(path)], capture_output=True, text=True, check=True)

    lines = done.stdout.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_installed_command_runs(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("tunekit")

    done = subprocess.run(
        [command, "plan", str(spec_file(tmp_path)), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout)["backend"] == "fake"


def test_the_shell_completes_ids_of_runs(tmp_path: Path) -> None:
    started = subprocess.run(
        [*TUNEKIT, "run", str(spec_file(tmp_path, output={"name": "harvest"})), "--detach"],
        capture_output=True,
        text=True,
        check=True,
    )
    run_id = started.stdout.splitlines()[-1]
    environment = {
        **os.environ,
        "_TUNEKIT_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "tunekit show har",
    }

    done = subprocess.run(TUNEKIT, capture_output=True, text=True, env=environment, check=False)

    assert run_id in done.stdout
