"""Any source of rows opened: files, globs, folders, hub ids, rows in memory."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunekit.data import hub, json_rows, mapping, tables
from tunekit.data.compressed import Damaged, inner, open_bytes
from tunekit.data.issues import Issue
from tunekit.data.rows import Where
from tunekit.errors import DataError
from tunekit.spec.finetune import Data

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".feather")
MEMORY = "<rows>"
"""Stands where a file name would, for rows given as objects."""

Raw = dict[str, Any]
_Rows = Iterator[tuple[Raw, Where]]

_MAGIC = re.compile(r"[*?\[]")
_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,7}")
_NEVER_A_HUB_ID = (*SUFFIXES, ".txt", ".arrow", ".xlsx", ".gz", ".zip", ".zst", ".yaml", ".yml")
_ABOUT_ROWS = ("dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json")
"""What `datasets` writes beside the rows."""
_HELD_OUT = re.compile(r"(^|[-_.])(test|valid(ation)?|val|dev|eval)([-_.]|$)", re.IGNORECASE)


def name(data: Data) -> str:
    """Say where the rows come from, in one word for messages."""
    return data.source if isinstance(data.source, str) else MEMORY


def rows(data: Data, issues: list[Issue]) -> Iterator[tuple[Raw, Where]]:
    """Give every sound row with its place; what is wrong with the others goes to `issues`.

    Raises:
        DataError: nothing can be opened under that name.
        MissingExtra: reading this kind of source needs a package that is not installed.
    """
    found = itertools.islice(_all(data, issues), data.limit)
    return mapping.rows(found, data.mapping, issues) if data.mapping else found


def files(data: Data) -> list[Path]:
    """Give the files that a source names; none for the hub and rows in memory."""
    if not isinstance(data.source, str):
        return []
    return [path for path in _files(data.source, data.split) or () if path.is_file()]


def _all(data: Data, issues: list[Issue]) -> _Rows:
    if not isinstance(data.source, str):
        return _in_memory(data.source)
    paths = _files(data.source, data.split)
    if paths is None:
        return hub.read(data.source, data.split)
    return itertools.chain.from_iterable(_file(path, issues) for path in paths)


def _in_memory(source: tuple[Raw, ...]) -> _Rows:
    for number, row in enumerate(source, start=1):
        yield row, Where(file=MEMORY, line=number)


def _files(source: str, split: str) -> list[Path] | None:
    """Find the files that a source names; None when it is a hub id."""
    path = Path(source).expanduser()
    if _exists(path):
        return _in_folder(_saved(path, split)) if path.is_dir() else [path]
    if _MAGIC.search(source):
        return _matches(path, source)
    if hub.is_hub_id(source) and not _is_file_name(path):
        return None
    raise DataError(_missing(path, source))


def _is_file_name(path: Path) -> bool:
    """Tell `data/train.old` in a folder that exists from the hub's `owner/name.v2`."""
    suffix = path.suffix.lower()
    return suffix in _NEVER_A_HUB_ID or (
        _SUFFIX.fullmatch(suffix) is not None and _exists(path.parent)
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # Too long, or with a NUL: such a file cannot be.
        return False


def _matches(path: Path, source: str) -> list[Path]:
    plain = list(itertools.takewhile(lambda part: not _MAGIC.search(part), path.parts))
    pattern = "/".join(path.parts[len(plain) :])
    try:
        found = sorted(file for file in Path(*plain).glob(pattern) if file.is_file())
    except (OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"data: the pattern {source!r} cannot be read: {error}") from None
    if not found:
        raise DataError(f"data: no file matches {source!r}{_nearby(Path(*plain), path.name)}")
    return found


def _saved(folder: Path, split: str) -> Path:
    """Take the wanted split of a folder that `DatasetDict.save_to_disk` wrote."""
    if not (folder / "dataset_dict.json").is_file():
        return folder
    if not (folder / split).is_dir():
        present = sorted(item.name for item in folder.iterdir() if item.is_dir())
        raise DataError(
            f"data: {folder} has no split {split!r}; it has {', '.join(present) or 'none'}\n"
            "    fix: name one: data: {source: ..., split: NAME}"
        )
    return folder / split


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(
        path
        for path in folder.rglob("*")
        if inner(path).suffix.lower() in SUFFIXES and path.is_file()
    )
    visible = [
        path
        for path in found
        if not _hidden(path.relative_to(folder)) and path.name not in _ABOUT_ROWS
    ]
    if not visible:
        raise DataError(
            f"data: {folder} holds no data; put files into it that end in {', '.join(SUFFIXES)}"
        )
    held_out = [path for path in visible if _HELD_OUT.search(inner(path).stem)]
    if held_out and len(held_out) < len(visible):
        raise DataError(
            f"data: {folder} holds {held_out[0].name}, which by its name is held out, "
            f"beside {next(path for path in visible if path not in held_out).name}\n"
            "    fix: name the files apart, data: FOLDER/train*.jsonl and validation: "
            "FOLDER/valid*.jsonl"
        )
    return visible


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.parts)


def _missing(path: Path, source: str) -> str:
    hint = _nearby(path.parent, path.name)
    if _SUFFIX.fullmatch(path.suffix) or "/" in source:
        return f"data: there is no file {source!r}{hint}"
    return f"data: there is no file {source!r}{hint}; a hub dataset is written owner/name"


def _nearby(folder: Path, wanted: str) -> str:
    """Name what is there instead."""
    try:
        present = [item.name for item in folder.iterdir() if not item.name.startswith(".")]
    except (OSError, ValueError):
        return f"; the folder {str(folder)!r} does not exist"
    close = difflib.get_close_matches(wanted, present, n=3, cutoff=0.5)
    near = close or sorted(name for name in present if name.endswith(SUFFIXES))[:5]
    place = "here" if str(folder) == "." else f"in {folder}"
    if not near:
        return f"; {place} are no data files"
    return f"; {place} {'is' if len(near) == 1 else 'are'} {', '.join(near)}"


def _file(path: Path, issues: list[Issue]) -> _Rows:
    """Read one file, whatever it holds."""
    before, any_row = len(issues), False
    try:
        if not path.is_file():
            issues.append(_not_regular(path))
            return
        for row in _reader(path, issues):
            any_row = True
            yield row
    except Damaged as error:
        issues.append(_damaged(path, error))
    except OSError as error:
        issues.append(_unreadable(path, error))
    if not any_row and len(issues) == before:
        issues.append(_empty(path))


def _reader(path: Path, issues: list[Issue]) -> _Rows:
    suffix = inner(path).suffix.lower()
    if suffix in (".csv", ".tsv"):
        return tables.read_csv(path, issues, delimiter="\t" if suffix == ".tsv" else ",")
    with open_bytes(path) as file:
        head = file.read(512)
    if suffix == ".parquet" or head.startswith(b"PAR1"):
        return iter(()) if not head else tables.read_parquet(path, issues)
    if suffix in (".arrow", ".feather") or head.startswith(b"ARROW1"):
        return iter(()) if not head else tables.read_arrow(path, issues)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if suffix in SUFFIXES or start in (b"{", b"["):
        return json_rows.read(path, issues)
    issues.append(_unknown_kind(path))
    return iter(())


def _unknown_kind(path: Path) -> Issue:
    return Issue(
        code="unknown-file",
        file=str(path),
        message=f"a {path.suffix or 'nameless'} file cannot be read",
        fix=f"write the rows as one of {', '.join(SUFFIXES)}",
    )


def _not_regular(path: Path) -> Issue:
    return Issue(
        code="not-a-file",
        file=str(path),
        message="this is a pipe, a socket or a device, which can be read only once",
        fix=f"write the rows to a file first: cat {path} > rows.jsonl",
    )


def _damaged(path: Path, error: Damaged) -> Issue:
    return Issue(
        code="damaged-archive",
        file=str(path),
        message=str(error),
        fix="make or download the file again; if it is meant to be so, unpack it first",
    )


def _unreadable(path: Path, error: OSError) -> Issue:
    return Issue(
        code="unreadable",
        file=str(path),
        message=f"the file cannot be opened: {error.strerror or error}",
        fix=f"check its rights and its disk: ls -l {path}",
    )


def _empty(path: Path) -> Issue:
    return Issue(
        code="empty-file",
        file=str(path),
        message="the file holds no rows",
        fix="check what wrote it; one row is one line such as "
        '{"messages": [{"role": "user", "content": "..."}, '
        '{"role": "assistant", "content": "..."}]}',
    )
