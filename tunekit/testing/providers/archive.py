"""A folder as one archive: the same bytes for the same files."""

from __future__ import annotations

import gzip
import importlib.util
import io
import tarfile
from pathlib import Path
from typing import Literal

from tunekit.testing.providers.downloads import Blob

ArchiveKind = Literal["tar.zst", "tar.gz"]


def default_kind() -> ArchiveKind:
    """Say what can be packed here: tar.zst needs `zstandard`."""
    return "tar.zst" if importlib.util.find_spec("zstandard") else "tar.gz"


def pack(folder: Path, kind: ArchiveKind) -> Blob:
    """Pack the files of a folder, in the order of their names, with no times and no owners."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(file.relative_to(folder).as_posix())
            content = file.read_bytes()
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    content = stream.getvalue()
    if kind == "tar.gz":
        return Blob(gzip.compress(content, mtime=0), "application/x-tar")
    import zstandard

    return Blob(zstandard.ZstdCompressor().compress(content))
