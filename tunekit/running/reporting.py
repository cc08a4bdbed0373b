"""The page of a run, in its folder."""

from __future__ import annotations

import warnings
from pathlib import Path

from tunekit.store import RunFolder

NAME = "report.html"


def write(folder: RunFolder, path: Path | None = None) -> Path:
    """Write the page of a run as it stands, in its folder or at `path`; gives the place."""
    from tunekit.report import page
    from tunekit.report.reading import Reading

    return page.write(path or folder.path / NAME, [Reading.of(folder)])


def at_end(folder: RunFolder) -> None:
    """Write the page when the run is over; its end does not hang on that."""
    try:
        write(folder)
    except Exception as error:
        warnings.warn(
            f"{folder.id}: its report could not be written: {error!r}; "
            f"`tunekit report {folder.id}` tries again",
            stacklevel=3,
        )
