"""Rows of a dataset on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tunekit.data.rows import Where
from tunekit.errors import DataError, MissingExtra

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(source: str) -> bool:
    """Say whether the text has the shape of a hub id: owner/name."""
    return _ID.fullmatch(source) is not None


def read(name: str, split: str) -> Iterator[tuple[dict[str, Any], Where]]:
    """Give the rows of one split.

    Raises:
        DataError: the dataset cannot be loaded.
        MissingExtra: `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtra(
            f"{name!r} is a hub dataset (there is no such file), and `datasets` is not installed: "
            "pip install 'tunekit-sdk[local]'"
        ) from None
    try:
        found: Any = datasets.load_dataset(name, split=split)
        for number, row in enumerate(found, start=1):
            yield dict(row), Where(file=f"hub:{name}[{split}]", line=number)
    except Exception as error:
        # The loader lets through errors of a dozen libraries; all mean the same to a user.
        raise _unreachable(name, split, error) from None


def _unreachable(name: str, split: str, error: Exception) -> DataError:
    first = str(error).strip().partition("\n")[0]
    return DataError(
        f"cannot load the split {split!r} of the hub dataset {name!r}: "
        f"{type(error).__name__}: {first}\n"
        f"    fix: check the id and the split at https://huggingface.co/datasets/{name}; "
        f"offline, load it once with network (`hf download --repo-type dataset {name}`), "
        "or give a local file"
    )
