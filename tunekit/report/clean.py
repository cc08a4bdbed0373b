"""Text from data, models and logs, made fit for a page."""

from __future__ import annotations

import re

from tunekit.printable import printable

_NONCHARACTERS = re.compile(
    "[\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(n * 0x10000 + e) for n in range(1, 17) for e in (0xFFFE, 0xFFFF))
    + "]"
)


def clean(text: str) -> str:
    """Take out what no HTML page may hold: controls, halves of surrogate pairs, noncharacters."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return _NONCHARACTERS.sub("\ufffd", printable(whole))
