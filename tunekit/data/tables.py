"""Rows out of CSV, TSV and Parquet."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from tunekit.data import json_text
from tunekit.data.issues import Fault, Issue
from tunekit.data.lines import LINE_LIMIT, lines
from tunekit.data.rows import Where
from tunekit.errors import MissingExtra

VALUE_LIMIT = 200_000_000
"""Values that a Parquet file may claim: 5 kB of it can unpack to gigabytes."""

_NESTED = frozenset({"messages", "conversations", "tools", "history"})
"""Columns that never hold plain text; a table stores their lists as JSON."""

Raw = dict[str, Any]


def read_csv(
    path: Path, issues: list[Issue], *, delimiter: str = ","
) -> Iterator[tuple[Raw, Where]]:
    """Give the rows below the header, every cell as text."""
    taken: list[int] = []
    reader = csv.reader(_texts(path, issues, taken), delimiter=delimiter, strict=True)
    with _long_fields():
        try:
            header = next(reader, list[str]())
            taken.clear()
            if fault := _bad_header(header, delimiter):
                issues.append(fault.at(str(path), 1))
                return
            for cells in reader:
                where = Where(file=str(path), line=taken[0])
                taken.clear()
                if cells and (row := _cells(header, cells, where, issues)) is not None:
                    yield row, where
        except csv.Error as error:
            issues.append(_bad_csv(error, path, taken[0]))


def _texts(path: Path, issues: list[Issue], taken: list[int]) -> Iterator[str]:
    """Give the lines, and keep the numbers of those that the current row has taken."""
    for number, text in lines(path, issues):
        taken.append(number)
        yield text


def _cells(header: list[str], cells: list[str], where: Where, issues: list[Issue]) -> Raw | None:
    if len(cells) != len(header):
        issues.append(_ragged(len(cells), len(header)).at(where.file, where.line))
        return None
    return _unpacked(dict(zip(header, cells, strict=True)), where, issues)


@contextlib.contextmanager
def _long_fields() -> Generator[None]:
    """Let a field be longer than the 128 kB that the csv module stops at."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, LINE_LIMIT))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _bad_header(header: list[str], delimiter: str) -> Fault | None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        return Fault(
            "duplicate-key",
            f"two columns are called {twice[0]!r}",
            "give every column a name of its own in the first line",
        )
    others = [mark for mark in ";\t," if len(header) == 1 and mark in header[0]]
    if not others:
        return None
    other = others[0]
    return Fault(
        "bad-csv",
        f"the columns are separated by {other!r}, not by {delimiter!r}",
        "name the file .tsv" if other == "\t" else "save it with commas, or as JSONL",
    )


def _bad_csv(error: csv.Error, path: Path, line: int) -> Issue:
    return Fault(
        "bad-csv",
        f"not CSV: {error}",
        'put fields with quotes or line breaks in "...", and write a quote inside as ""',
    ).at(str(path), line)


def _ragged(cells: int, columns: int) -> Fault:
    return Fault(
        "ragged-row",
        f"the row has {cells} fields, the header {columns}",
        'put fields that hold a separator in "..."',
    )


def _unpacked(row: Raw, where: Where, issues: list[Issue]) -> Raw | None:
    """Read the JSON that nested columns hold."""
    try:
        return {key: _nested(key, held) for key, held in row.items()}
    except Fault as fault:
        issues.append(fault.at(where.file, where.line))
        return None


def _nested(key: str, held: Any) -> Any:
    if key not in _NESTED or not isinstance(held, str) or held[:1] not in ("[", "{"):
        return held
    try:
        json_text.check_depth(held)
        return json_text.value(held)[0]
    except Fault as fault:
        message = f"column {key!r}: {fault.message}"
        raise Fault(fault.code, message, fault.fix) from None


def read_parquet(path: Path, issues: list[Issue]) -> Iterator[tuple[Raw, Where]]:
    """Give the rows of a Parquet file.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra(
            f"{path} is a Parquet file, and pyarrow is not installed: "
            "pip install 'tunekit-sdk[local]'"
        ) from None
    number = 0
    vendor: Any = pyarrow
    broken: tuple[type[Exception], ...] = (vendor.ArrowException, OSError, UnicodeDecodeError)
    try:
        with parquet.ParquetFile(path) as table:
            if fault := _too_large(table.metadata):
                issues.append(fault.at(str(path)))
                return
            for number, row in enumerate(_table_rows(table), start=1):
                where = Where(file=str(path), line=number)
                if (unpacked := _unpacked(row, where, issues)) is not None:
                    yield unpacked, where
    except broken as error:
        issues.append(_bad_parquet(error, path, number))


def read_arrow(path: Path, issues: list[Issue]) -> Iterator[tuple[Raw, Where]]:
    """Give the rows of an Arrow file or stream, as `datasets` keeps them.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import ipc
    except ImportError:
        raise MissingExtra(
            f"{path} is an Arrow file, and pyarrow is not installed: "
            "pip install 'tunekit-sdk[local]'"
        ) from None
    vendor: Any = pyarrow
    number = 0
    try:
        with vendor.memory_map(str(path)) as source:
            for batch in _batches(ipc, source):
                for row in batch.to_pylist():
                    number += 1
                    where = Where(file=str(path), line=number)
                    if (unpacked := _unpacked(row, where, issues)) is not None:
                        yield unpacked, where
    except (vendor.ArrowException, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        fix = "the file may be cut; write or download it again"
        issues.append(Fault("bad-arrow", f"not an Arrow file: {first}", fix).at(str(path)))


def _batches(ipc: Any, source: Any) -> Iterator[Any]:
    """Open a file with a footer, or else a stream."""
    if source.read(6) == b"ARROW1":
        source.seek(0)
        table = ipc.open_file(source)
        yield from (table.get_batch(index) for index in range(table.num_record_batches))
    else:
        source.seek(0)
        yield from ipc.open_stream(source)


def _table_rows(table: Any) -> Iterator[Raw]:
    for batch in table.iter_batches(batch_size=256):
        yield from batch.to_pylist()


def _too_large(metadata: Any) -> Fault | None:
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    values = sum(
        group.column(index).num_values for group in groups for index in range(group.num_columns)
    )
    if values <= VALUE_LIMIT:
        return None
    return Fault(
        "too-large",
        f"the file claims {values} values",
        "split it, or write the rows that you need as JSONL",
    )


def _bad_parquet(error: Exception, path: Path, number: int) -> Issue:
    if isinstance(error, UnicodeDecodeError):
        fix = "write the table again with UTF-8 text"
        return Fault("bad-utf8", "a text column is not UTF-8", fix).at(str(path), number + 1)
    first = str(error).strip().partition("\n")[0]
    fix = "the file may be cut; write or download it again"
    return Fault("bad-parquet", f"not a Parquet file: {first}", fix).at(str(path))
