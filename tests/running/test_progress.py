"""What a run shows while it goes: lines in a pipe, a bar in a terminal, nothing when silent."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tunekit as tk
from tests.cli.specs import spec_file
from tunekit.events import LogEvent, MetricsEvent, StateEvent
from tunekit.running.pace import Pace
from tunekit.running.progress import line
from tunekit.running.screen import Screen
from tunekit.testing import FakeBackend

ROWS = [{"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in range(20)]
SPEC = tk.FineTune(model="org/a-model", data=ROWS)


def metrics(step: int, time: float, **numbers: float) -> MetricsEvent:
    return MetricsEvent(step=step, time=time, metrics=numbers)


def test_the_pace_knows_speed_and_time_left() -> None:
    pace = Pace()
    pace.add(metrics(0, 100.0, max_steps=40))
    pace.add(metrics(10, 130.0, loss=1.5, tokens_per_second=1234.0))

    assert str(pace) == "step 10/40 · loss 1.5000 · 1,234 tokens/s · 1:30 left"
    assert pace.share == 0.25


def test_a_resumed_run_is_measured_from_where_it_resumed() -> None:
    pace = Pace()
    pace.add(metrics(0, 0.0, max_steps=40))
    pace.add(metrics(10, 10.0, loss=2.0))
    pace.add(metrics(10, 5000.0, max_steps=40))
    pace.add(metrics(20, 5010.0, loss=1.0))

    assert pace.seconds_left == 20.0


def test_without_a_total_nothing_is_promised() -> None:
    pace = Pace()
    pace.add(metrics(1, 0.0, loss=2.0))
    pace.add(metrics(2, 1.0, loss=1.0))

    assert str(pace) == "step 2 · loss 1.0000"


def test_in_a_pipe_a_run_writes_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    tk.run(SPEC, FakeBackend(steps=100))

    out, err = capsys.readouterr()
    assert out == ""
    steps = [int(step) for step in re.findall(r"^step (\d+)/100 · loss", err, re.M)]
    assert len(steps) in (10, 11)
    assert steps[-1] == 100
    assert "\x1b" not in err


def test_at_the_end_stands_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    tk.run(SPEC, FakeBackend())

    assert "the answer" in capsys.readouterr().err


def test_a_silent_run_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tk.run(SPEC, FakeBackend(), progress=False)

    assert capsys.readouterr() == ("", "")


def test_a_failed_run_shows_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(tk.errors.RunFailed):
        tk.run(SPEC, FakeBackend(outcome="failed", reason="no luck"))

    assert "failed: no luck" in capsys.readouterr().err


def test_ctrl_c_says_how_to_take_the_run_up_again() -> None:
    run = tk.submit(SPEC, FakeBackend())

    def press(event: tk.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=f"tunekit wait {run.id}"):
        run.wait(on_event=press)


def test_text_from_a_job_cannot_command_the_terminal() -> None:
    assert line(LogEvent(message="a\x1b[2Jb\x07")) == "ab"
    assert line(StateEvent(state=tk.JobState.FAILED, reason="\x1b]0;t\x07why")) == "failed: why"
    assert line(metrics(1, 0.0, **{"lo\x1b[1mss": 1.0})) == "step 1: loss 1"


def test_the_screen_keeps_styles_and_takes_out_what_text_brings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Screen(force_terminal=True, color_system="standard", no_color=False).print(
        "a\x1b[2Jb", style="red"
    )

    assert capsys.readouterr().out == "\x1b[31mab\x1b[0m\n"


def test_in_a_terminal_a_bar_is_drawn(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tunekit.cli.app", "run", str(spec_file(tmp_path))],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=environment,
    )
    os.close(terminal)

    drawn = _read(controller)

    assert process.wait(timeout=30) == 0
    assert "━" in drawn
    assert "step 3/3 · loss 1.0000 · 1,000 tokens/s" in drawn


def test_continuous_integration_gets_lines_even_in_a_terminal(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tunekit.cli.app", "run", str(spec_file(tmp_path))],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "CI": "true"},
    )
    os.close(terminal)

    drawn = _read(controller)

    assert process.wait(timeout=30) == 0
    assert "━" not in drawn
    assert "step 3/3" in drawn


def _read(descriptor: int) -> str:
    """Read a terminal until its other side is closed, which Linux reports as an error."""
    parts: list[bytes] = []
    try:
        while part := os.read(descriptor, 4096):
            parts.append(part)
    except OSError:
        pass
    os.close(descriptor)
    return b"".join(parts).decode(errors="replace")
