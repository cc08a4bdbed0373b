"""The job folder: the only thing that parent and worker share."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from tunekit.events import Event
from tunekit.files import is_held, write_atomic


def is_first() -> bool:
    """Say whether this is, of several processes of one training, the one that speaks and saves."""
    return os.environ.get("RANK", "0") == "0"


class Job:
    """Files of one local job, for both sides.

    request.json   what to do, written by the parent
    lock           held by the worker for as long as it lives
    worker.json    its process id, written by the worker
    events.jsonl   a line per event, appended by the worker
    log.txt        its standard output and error
    cancel         exists when somebody asked the job to stop
    result.json    how it ended, written last
    sweep.json     the short runs at other learning rates, and the one that is taken
    sweep/         a folder for each of them
    start/         the adapter that training goes on from, as it was then
    checkpoints/   resumable states
    adapter/       the trained weights
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "lock"
        self.log = path / "log.txt"
        self.events = path / "events.jsonl"
        self.start = path / "start"
        self.checkpoints = path / "checkpoints"
        self.adapter = path / "adapter"
        self._cancel = path / "cancel"

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write `name`.json as a whole."""
        write_atomic(self.path / f"{name}.json", json.dumps(content, indent=1) + "\n")

    def read(self, name: str) -> dict[str, Any] | None:
        """Read `name`.json, or None when it is not there."""
        try:
            content: dict[str, Any] = json.loads((self.path / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None
        return content

    @property
    def alive(self) -> bool:
        """Say whether a worker holds the lock."""
        return is_held(self.lock)

    @property
    def cancelled(self) -> bool:
        """Say whether somebody asked the job to stop."""
        return self._cancel.exists()

    def ask_to_stop(self) -> None:
        """Leave the mark that a worker looks for, even one that is still loading."""
        self._cancel.touch(mode=0o600)

    def reopen(self) -> None:
        """Clear what an earlier attempt left behind, except its checkpoints and events."""
        for path in (self._cancel, self.path / "result.json", self.path / "worker.json"):
            path.unlink(missing_ok=True)

    def emit(self, event: Event) -> None:
        """Append one event as one line, in one write."""
        line = event.model_copy(update={"time": time.time()}).model_dump_json() + "\n"
        descriptor = os.open(self.events, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def tail(self, lines: int = 30) -> str:
        """Give the last lines of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 64_000))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.rstrip().splitlines()[-lines:])
