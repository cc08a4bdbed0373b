"""Whether somebody sits in front of this machine, with a browser at hand."""

from __future__ import annotations

import os
import sys


def desktop() -> bool:
    """Say whether a page can be opened for the user to see."""
    if os.environ.get("CI") or os.environ.get("SSH_CONNECTION"):
        return False
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
