"""Text from data, models and logs, made safe to print in a terminal."""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    r"""
    (?:\x1b\]|\x9d) .*? (?:\x07|\x1b\\|\x9c)            # operating system command: title, clipboard
    | (?:\x1b[PX^_]|[\x90\x98\x9e\x9f]) .*? (?:\x1b\\|\x9c)   # device control and other strings
    | (?:\x1b\[|\x9b) [0-?]* [ -/]* [@-~]               # colours and movements of the cursor
    | \x1b [ -/]* [0-~]                                 # everything shorter
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Take out what commands a terminal: escape sequences, controls, marks of direction.

    Newlines and tabs stay. A carriage return keeps what stands behind it, as a terminal shows it.
    """
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n"))
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROLS.sub("", text)
