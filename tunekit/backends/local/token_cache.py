"""Tokenised rows of earlier runs, found again by what they were made of."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunekit import data
from tunekit.data.rows import Row
from tunekit.data.tokens import IGNORED, Sample, Tokens
from tunekit.files import sha256, write_atomic
from tunekit.home import home

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

LEAST = 1000
"""Rows that are worth it; fewer are tokenised in about the time that looking takes."""
MOST_BYTES = 2_000_000_000
"""Of all that is kept; what was not used for longest goes first."""
_PACKAGES = ("transformers", "tokenizers", "jinja2")


def kept(
    rows: Sequence[Row],
    make: Callable[[], list[Sample]],
    *,
    source: Path,
    tokenizer: Any,
    settings: Sequence[object],
) -> list[Sample]:
    """Give the rows tokenised: as an earlier run has left them, or made now and left for the next.

    Args:
        rows: What is tokenised, in order.
        make: Tokenises them.
        source: The file that holds the rows.
        tokenizer: What tokenises, its chat template included.
        settings: Everything else that decides what comes out.
    """
    if len(rows) < LEAST:
        return make()
    place = folder() / f"{_key(source, tokenizer, settings)}.safetensors"
    found = _read(place, rows)
    if found is None:
        found = make()
        if len(found) == len(rows) and all(isinstance(each, Tokens) for each in found):
            _write(place, [each for each in found if isinstance(each, Tokens)])
    return found


def folder() -> Path:
    """Give the place of tokenised rows."""
    return home() / "cache" / "tokens"


def _key(source: Path, tokenizer: Any, settings: Sequence[object]) -> str:
    backend = tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else repr(tokenizer)
    parts = [
        sha256(source),
        hashlib.sha256(backend.encode()).hexdigest(),
        [type(tokenizer).__name__, tokenizer.chat_template, str(tokenizer.special_tokens_map)],
        [version(name) for name in _PACKAGES],
        _code(),
        # Some templates write the date into every row.
        date.today().isoformat() if "strftime_now" in str(tokenizer.chat_template) else "",
        [repr(each) for each in settings],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _code() -> str:
    """Hash what makes tokens and labels of rows."""
    digest = hashlib.sha256()
    for path in sorted(Path(data.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(place: Path, rows: Sequence[Row]) -> list[Sample] | None:
    """Read what was kept; None where there is nothing, or it cannot be read."""
    from safetensors import SafetensorError

    load: Any = import_module("safetensors.numpy").load_file
    try:
        arrays: Arrays = load(place)
        os.utime(place)
    except (OSError, SafetensorError):
        return None
    if len(arrays["lengths"]) != len(rows):
        return None
    return list(_unpacked(arrays, rows))


def _unpacked(arrays: Arrays, rows: Sequence[Row]) -> list[Tokens]:
    import numpy as np

    ids, spans = arrays["ids"], arrays["spans"]
    labels: NDArray[Any] = np.where(arrays["trained"], ids, IGNORED)
    found: list[Tokens] = []
    token = span = 0
    for n, row in enumerate(rows):
        end, last = token + int(arrays["lengths"][n]), span + int(arrays["others"][n])
        found.append(
            Tokens(
                ids[token:end].tolist(),
                labels[token:end].tolist(),
                complete=bool(arrays["complete"][n]),
                others=tuple((int(a), int(b)) for a, b in spans[span:last]),
                where=row.where,
            )
        )
        token, span = end, last
    return found


def _write(place: Path, found: Sequence[Tokens]) -> None:
    """Leave rows for the next run; where that fails, it tokenises again."""
    import numpy as np

    save: Any = import_module("safetensors.numpy").save
    ids = np.array([token for each in found for token in each.input_ids], dtype=np.int32)
    labels = np.array([label for each in found for label in each.labels], dtype=np.int32)
    arrays: Arrays = {
        "ids": ids,
        "trained": labels != IGNORED,
        "lengths": np.array([len(each.input_ids) for each in found], dtype=np.int64),
        "complete": np.array([each.complete for each in found]),
        "others": np.array([len(each.others) for each in found], dtype=np.int64),
        "spans": np.array([s for each in found for s in each.others], dtype=np.int64).reshape(
            -1, 2
        ),
    }
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(place, save(arrays))
        _tidy(place)


def _tidy(newest: Path) -> None:
    """Remove what was not used for longest, until the rest is small enough."""
    files = [(path, path.stat()) for path in newest.parent.iterdir()]
    room = MOST_BYTES
    for path, stat in sorted(files, key=lambda each: -each[1].st_mtime):
        room -= stat.st_size
        if room < 0 and path != newest:
            path.unlink(missing_ok=True)
