"""One source parted into rows to train on and rows held out, as files if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunekit.data import render, sources
from tunekit.data.issues import Found, require
from tunekit.data.recognise import recognise
from tunekit.data.sides import Split
from tunekit.data.sides import split as _split
from tunekit.errors import SpecError
from tunekit.spec.finetune import Data


def split(
    source: Data | str | Any,
    *,
    validation: float | None = None,
    seed: int = 42,
    into: str | Path | None = None,
) -> Split:
    """Part the rows of one source the way a run would.

    Args:
        source: what `FineTune(data=...)` takes.
        validation: share to hold out; None: by the number of rows.
        seed: another seed holds out other rows.
        into: a folder for `train.jsonl` and `validation.jsonl`; it must not hold them yet.

    Raises:
        DataError: rows are malformed.
        SpecError: the share leaves one side empty, or the files exist.
    """
    data = Data.of(source)
    issues = Found(checks=data.checks)
    found = recognise(sources.rows(data, issues), issues, wanted=data.format)
    require(issues)
    sides = _split(found.rows, seed=seed, share=validation)
    if into is not None:
        _write(sides, Path(into))
    return sides


def _write(sides: Split, folder: Path) -> None:
    files = {"train": sides.train, "validation": sides.validation}
    for name in files:
        if (folder / f"{name}.jsonl").exists():
            raise SpecError(f"{folder / name}.jsonl exists; name another folder, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        if rows:
            render.write(rows, folder / f"{name}.jsonl")
