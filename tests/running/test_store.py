"""The run folder survives crashes, readers and second processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunekit import errors, store
from tunekit.events import JobState, LogEvent
from tunekit.files import Locked, is_held, locked, write_atomic
from tunekit.planning.plan import Plan


def _record(run_id: str, **changes: Any) -> store.Record:
    settings: dict[str, Any] = {
        "id": run_id,
        "created": 1.0,
        "spec": {"model": "m", "data": {"source": "d"}},
        "plan": Plan(backend="fake", model="m", request={}),
        "backend": {"type": "local"},
        **changes,
    }
    return store.Record(**settings)


def test_a_record_is_read_back_as_it_was_written(home: Path) -> None:
    folder = store.create(_record("one"))

    assert folder.read() == _record("one")
    assert store.find("one").path == home / "runs" / "one"


def test_folders_are_private_under_any_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        folder = store.create(_record("one"))
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "run.json").stat().st_mode) == 0o600


def test_a_crash_between_events_and_record_doubles_no_event(home: Path) -> None:
    folder = store.create(_record("one"))
    with folder.refreshing() as record:
        folder.append(record, [LogEvent(id="0", message="a")])
    lost = folder.read()
    folder.append(lost, [LogEvent(id="1", message="b")])  # the record is never written

    with folder.refreshing() as record:
        folder.append(record, [LogEvent(id="1", message="b"), LogEvent(id="2", message="c")])

    assert [event.id for event, _ in folder.events()] == ["0", "1", "2"]


def test_a_line_that_is_still_being_written_is_not_read(home: Path) -> None:
    folder = store.create(_record("one"))
    with folder.refreshing() as record:
        folder.append(record, [LogEvent(id="0", message="a")])
    with (folder.path / "events.jsonl").open("a") as file:
        file.write('{"kind": "log", "mess')

    assert [event.id for event, _ in folder.events()] == ["0"]


def test_a_name_finds_the_newest_run_and_a_prefix_finds_the_only_one(home: Path) -> None:
    store.create(_record("a-1", name="a", created=1.0))
    store.create(_record("a-2", name="a", created=2.0))

    assert store.find("a").id == "a-2"
    assert store.find("a-1").id == "a-1"
    with pytest.raises(errors.RunError, match="fits several runs: a-2, a-1"):
        store.find("a-")
    with pytest.raises(errors.RunError, match="`tunekit runs` lists them"):
        store.find("b")


@pytest.mark.parametrize("key", ["", "..", "../runs/a-1", "/"])
def test_a_path_is_not_a_run_id(home: Path, key: str) -> None:
    store.create(_record("a-1"))

    with pytest.raises(errors.RunError, match="no run"):
        store.find(key)


def test_a_damaged_record_says_how_to_forget_the_run(home: Path) -> None:
    folder = store.create(_record("one"))
    (folder.path / "run.json").write_text('{"id": "one"}')

    with pytest.raises(errors.RunError, match=r"run\.json is damaged .* rm -r"):
        folder.read()


def test_a_damaged_record_does_not_hide_the_other_runs(home: Path) -> None:
    store.create(_record("good"))
    (store.create(_record("bad")).path / "run.json").write_text("{")

    with pytest.warns(UserWarning, match=r"bad/run\.json is damaged"):
        found = store.folders()

    assert [folder.id for folder in found] == ["good"]


def test_one_process_claims_a_run_and_the_other_is_told_who(home: Path) -> None:
    folder = store.create(_record("one"))
    script = """
from tunekit import store, errors
try:
    with store.find("one").claim():
        print("claimed")
except errors.RunBusy as error:
    print(error)
"""
    with folder.claim():
        busy = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
    free = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert f"process {os.getpid()} on" in busy.stdout
    assert free.stdout == "claimed\n"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    with pytest.raises(TypeError):
        write_atomic(path, 5)  # type: ignore[arg-type]

    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_lock_is_held_until_the_last_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    with locked(path) as file:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(file.fileno(),))
    try:
        assert is_held(path)
        with pytest.raises(Locked), locked(path, timeout=0):
            pass
    finally:
        child.kill()
        child.wait()
    assert not is_held(path)


def test_a_system_without_posix_locks_gets_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.create(_record("one"))
    monkeypatch.setattr("tunekit.files.fcntl", None)

    with pytest.raises(errors.TunekitError, match="use tunekit inside WSL 2"), folder.claim():
        pass


def test_the_record_keeps_its_state_as_text(home: Path) -> None:
    folder = store.create(_record("one", state=JobState.FAILED))

    assert '"state": "failed"' in (folder.path / "run.json").read_text()
