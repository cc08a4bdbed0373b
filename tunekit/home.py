"""Where tunekit keeps its files on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tunekit.errors import TunekitError


def home() -> Path:
    """Give the folder for runs and models: `$TUNEKIT_HOME`, or `~/.tunekit`.

    Raises:
        TunekitError: the folder cannot be made or written.
    """
    folder = _chosen()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise TunekitError(
            f"cannot make {folder}: {error.strerror}; set TUNEKIT_HOME to a folder you can write"
        ) from None
    return folder


def _chosen() -> Path:
    override = os.environ.get("TUNEKIT_HOME")
    if override:
        return Path(override).expanduser().absolute()
    if sys.platform == "win32":
        # Windows has no custom of dot folders in the home directory.
        from platformdirs import user_data_path

        return user_data_path("tunekit", appauthor=False)
    return Path.home() / ".tunekit"
