"""Unpack what a provider sends: member by member, into a folder that appears whole or not at all.

The names in an archive are never used as paths. A member is taken when the last part of its
name is that of a file of an adapter or a model, and is written under that name, which we know.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tunekit.adapters import tarball, zipped
from tunekit.adapters.allowed import RECORD, danger, is_allowed, is_left_over
from tunekit.adapters.members import Member
from tunekit.adapters.packing import Refused, Stream
from tunekit.errors import AdapterError
from tunekit.files import sync_folder

MOST_BYTES = 20 * 2**30
MOST_MEMBERS = 64
_SPARE = 64 << 20
"""Bytes that stay free on the disk."""


def unpack(archive: Path, into: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Unpack a tar, tar.gz, tar.zst or zip, told apart by its bytes, into an empty or new folder.

    Members that belong to no adapter or model are passed over. Files have mode 0600, their
    folder 0700. Memory stays below 200 MB, whatever the archive says.

    Args:
        archive: The file.
        into: A folder that is empty, or not there yet in a folder that is.
        most_bytes: What everything in the archive may take when unpacked, in bytes.

    Raises:
        AdapterError: the archive is damaged, tries to leave its folder, holds links, code or
            pickles, the files of two adapters, or more than there is room for. Nothing is left.
        MissingExtra: it is packed with zstd, and zstandard is not installed.
    """
    _require_places(archive, into)
    part = Path(tempfile.mkdtemp(prefix=f".{into.name}.", suffix=".part", dir=into.parent))
    try:
        _fill(archive, part, most_bytes)
        if into.exists():
            into.rmdir()
        part.replace(into)
        sync_folder(into.parent)
    except Refused as refused:
        raise AdapterError(f"{archive}: {refused}") from None
    except OSError as error:
        raise AdapterError(f"{archive}: cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _require_places(archive: Path, into: Path) -> None:
    if not archive.is_file():
        raise AdapterError(f"{archive}: there is no such file")
    if not into.parent.is_dir():
        raise AdapterError(f"{into.parent}: there is no such folder to unpack in")
    if into.is_symlink() or (into.exists() and (not into.is_dir() or any(into.iterdir()))):
        raise AdapterError(f"{into}: is not an empty folder; name one that does not exist")


def _fill(archive: Path, part: Path, most_bytes: int) -> None:
    with archive.open("rb") as file:
        taken = 0
        for name, member in _chosen(_members(file, most_bytes)):
            _write(member, part / name)
            taken += 1
    if not taken:
        raise Refused("holds no file of an adapter or a model")
    sync_folder(part)


def _members(file: IO[bytes], most_bytes: int) -> Iterator[Member]:
    head = file.read(4)
    file.seek(0)
    if head in zipped.MAGIC:
        return zipped.members(file, most_bytes)
    return tarball.members(Stream(file, most_bytes))


def _chosen(members: Iterator[Member]) -> Iterator[tuple[str, Member]]:
    """Give the members to write and the names to write them under."""
    seen: set[str] = set()
    place: str | None = None
    for number, member in enumerate(members, start=1):
        if number > MOST_MEMBERS:
            raise Refused(f"has more than {MOST_MEMBERS} members")
        if fault := member.fault() or _twin(member, seen):
            raise Refused(f"{member.shown}: {fault}")
        folder, _, name = member.name.removeprefix("./").rpartition("/")
        if member.kind == "folder" or not _is_wanted(name, member):
            continue
        if place is not None and folder != place:
            raise Refused(
                f"{member.shown}: lies beside other files in {place or 'the top folder'}; "
                "an archive holds one adapter in one folder"
            )
        place = folder
        yield name, member


def _is_wanted(name: str, member: Member) -> bool:
    """Say whether a file is taken; one that is not is passed over."""
    if is_left_over(name):
        return False
    if fault := danger(name):
        raise Refused(f"{member.shown}: {fault}")
    folded = _folded(name)
    if folded != name and not is_allowed(name) and is_allowed(folded):
        raise Refused(f"{member.shown}: is spelled otherwise than {folded}")
    # Where an adapter comes from is for us to say, not for the archive.
    return is_allowed(name) and name != RECORD and not name.startswith(".")


def _twin(member: Member, seen: set[str]) -> str | None:
    """Say when a file of this name, in capitals or not, was there before."""
    if member.kind == "folder":
        return None
    name = _folded(member.name.removeprefix("./"))
    if name in seen:
        return "stands there twice"
    seen.add(name)
    return None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _write(member: Member, target: Path) -> None:
    if member.size > shutil.disk_usage(target.parent).free - _SPARE:
        raise Refused(f"{member.shown}: has {member.size} bytes, and the disk is full")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(target, flags | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for block in member.content:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
