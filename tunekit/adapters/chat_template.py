"""The chat template that comes with an adapter, compared with the base's; none is ever run here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from tunekit.adapters import origin
from tunekit.adapters.allowed import TEMPLATE
from tunekit.adapters.config import read_object
from tunekit.errors import AdapterError

MOST_BYTES = 1 << 18
"""The longest templates in use have a tenth of it."""
MOST_TOKENIZER = 1 << 24
"""The settings of a tokenizer with thousands of added tokens have more than 1 MB."""


def warning(folder: Path, base: str | None) -> str | None:
    """Say when the template is another than the base's; None where one of the two is not here."""
    place = origin.find(base) if base else None
    ours = _read(folder)
    theirs = _read(place) if place else None
    if ours is None or theirs is None or ours.strip() == theirs.strip():
        return None
    return f"the chat template differs from that of {base}"


def require_short(text: object, file: Path) -> None:
    """Stop at a template of absurd length: it is a program, run whenever a chat is rendered.

    Raises:
        AdapterError: it has more than 256 kB.
    """
    if len(str(text)) > MOST_BYTES:
        raise AdapterError(f"{file}: the chat template is longer than {MOST_BYTES} bytes")


def _read(folder: Path) -> str | None:
    try:
        if (file := folder / TEMPLATE).is_file():
            return file.read_text(encoding="utf-8") if file.stat().st_size <= MOST_BYTES else None
        content = read_object(folder / "tokenizer_config.json", MOST_TOKENIZER)
    except (OSError, ValueError, AdapterError):
        return None
    return _main(content.get("chat_template"))


def _main(template: Any) -> str | None:
    """Give the template that is used when none is named, of one or of several."""
    if isinstance(template, list):
        for one in cast("Iterable[Any]", template):
            if isinstance(one, dict) and cast("dict[str, Any]", one).get("name") == "default":
                return _main(cast("dict[str, Any]", one).get("template"))
    return template if isinstance(template, str) else None
