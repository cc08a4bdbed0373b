"""What is meant and what was done on the way to a job, on disk before the next step is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tunekit.errors import RunError
from tunekit.files import write_atomic


class Upload(BaseModel):
    """A file that the service has."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    id: str
    """The service's own name of it."""


class Entry(BaseModel):
    """How far a purchase has come."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = 1
    marker: str
    """Stands in the job at the service, so that it can be found again."""
    uploads: dict[str, Upload] = {}
    """By name: `train`, `validation`."""
    sending: bool = False
    """A request that starts the job is about to be sent, or was, and its end is not known."""
    attempts: int = 0
    """How often it was sent."""
    job_id: str | None = None


class Journal:
    """`submission.json` in the job folder: replaced as a whole, synced, never half written."""

    def __init__(self, folder: Path, marker: str) -> None:
        self._file = folder / "submission.json"
        self._marker = marker

    def read(self) -> Entry:
        """Give how far it has come; a new one where nothing was written.

        Raises:
            RunError: the file is damaged.
        """
        try:
            return Entry.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return Entry(marker=self._marker)
        except ValidationError:
            raise RunError(
                f"{self._file} is damaged; look at the service for a job marked {self._marker} "
                "before the run is submitted again",
                run_id=self._file.parent.parent.name,
            ) from None

    def write(self, entry: Entry, **changes: Any) -> Entry:
        """Make a step durable."""
        changed = entry.model_copy(update=changes)
        write_atomic(self._file, changed.model_dump_json(indent=1) + "\n")
        return changed
