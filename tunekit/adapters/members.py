"""What an archive holds: files, folders, and all that is neither."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tunekit.adapters.packing import Refused

_DRIVE = re.compile(r"[A-Za-z]:")
_SHOWN = 120
_MOST_NAME = 1024


@dataclass(frozen=True)
class Member:
    """One entry of an archive; its content can be read once, before the next entry is taken."""

    name: str
    kind: str
    """`file`, `folder`, or in words what else it is: `a symbolic link`."""
    size: int
    content: Iterator[bytes]

    @property
    def shown(self) -> str:
        """The name, safe to print."""
        return shown(self.name)

    def fault(self) -> str | None:
        """Say what is wrong with its kind or name, or None."""
        if self.kind not in ("file", "folder"):
            return f"is {self.kind}; only plain files are taken"
        if not all(letter.isprintable() for letter in self.name) or "\\" in self.name:
            return "has a name with control characters or backslashes"
        if len(self.name) > _MOST_NAME:
            return "has a name that is too long"
        if self.name.startswith("/") or _DRIVE.match(self.name):
            return "has an absolute name"
        if ".." in self.name.split("/"):
            return "has a name that leads out of its folder"
        if self.kind == "file" and self.name.rpartition("/")[2] in ("", "."):
            return "has no name"
        return None


def shown(name: str) -> str:
    """Make a name safe to print, on one line."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name[:_SHOWN])
    return clean + ("..." if len(name) > _SHOWN else "")


def named(name: str, content: Iterator[bytes]) -> Iterator[bytes]:
    """Give the content of a member; what goes wrong with it names the member."""
    try:
        yield from content
    except Refused as refused:
        raise Refused(f"{shown(name)}: {refused}") from None
