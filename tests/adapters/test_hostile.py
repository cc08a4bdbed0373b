"""Archives made to harm: nothing is written outside or left; memory and time are bounded."""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.adapters.hostile import ENTRIES, OUTSIDE, TARS, ZIPS
from tests.adapters.packed import CONTAINERS, WEIGHTS, header, octal, packed, wrapped
from tunekit.adapters.archive import unpack
from tunekit.errors import AdapterError

pytestmark = pytest.mark.slow

TAR_CONTAINERS = CONTAINERS[:3]
CASES = [
    *((kind, container) for kind in ENTRIES for container in CONTAINERS),
    *((kind, container) for kind in TARS for container in TAR_CONTAINERS),
    *((kind, "zip") for kind in ZIPS),
]


def hostile(kind: str, container: str, outside: Path) -> tuple[bytes, str]:
    """Give the bytes of the archive, aimed at a folder, and what the refusal says."""
    if kind in TARS:
        content, reason = TARS[kind]
        return wrapped(content, container), reason
    if kind in ZIPS:
        return ZIPS[kind]
    entries, reason = ENTRIES[kind]
    place = str(outside).lstrip("/")
    aimed = [
        dataclasses.replace(
            entry, name=entry.name.replace(OUTSIDE, place), link=_aim(entry.link, outside)
        )
        for entry in entries
    ]
    return packed(aimed, container), reason


def _aim(link: str, outside: Path) -> str:
    """Let a link lead to the folder: by its whole path, or from the folder that is unpacked in."""
    return link.replace(OUTSIDE, "victims" if link.startswith("a/") else str(outside))


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to unpack in, with somebody's files beside; we stand in it too."""
    victims = tmp_path / "world" / "victims"
    victims.mkdir(parents=True)
    for name in ("victim", "adapter_config.json", "adapter_model.safetensors"):
        (victims / name).write_text("untouched")
        (victims.parent / name).write_text("untouched")
    monkeypatch.chdir(victims.parent)
    return victims.parent


def test_there_are_at_least_25_kinds_in_each_container() -> None:
    assert len(ENTRIES) >= 25
    assert len(CASES) >= 100


@pytest.mark.parametrize(("kind", "container"), CASES)
def test_a_hostile_archive_is_refused_by_name_and_changes_nothing(
    world: Path, tmp_path: Path, kind: str, container: str
) -> None:
    content, reason = hostile(kind, container, world / "victims")
    archive = tmp_path / "download"
    archive.write_bytes(content)
    before, start = snapshot(tmp_path), time.monotonic()
    with pytest.raises(AdapterError, match=reason) as caught:
        unpack(archive, world / "out")
    assert snapshot(tmp_path) == before
    assert time.monotonic() - start < 10
    assert str(caught.value).startswith(f"{archive}: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_archive_with_any_byte_changed_is_read_or_refused(
    world: Path, tmp_path: Path, container: str
) -> None:
    from random import Random

    sound = packed(ENTRIES["a pickle"][0][:2], container)
    archive, random = tmp_path / "download", Random(4)
    for number in range(150):
        content = bytearray(sound)
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        archive.write_bytes(content[: random.randrange(len(content))] if number % 3 else content)
        before = snapshot(world)
        try:
            unpack(archive, world / "out")
        except AdapterError:
            assert snapshot(world) == before
            continue
        names = {path.name for path in (world / "out").iterdir()}
        assert names <= {"adapter_config.json", "adapter_model.safetensors"}
        for path in (world / "out").iterdir():
            path.unlink()
        (world / "out").rmdir()


HEAD = header(WEIGHTS, octal(1 << 32))
ZEROS = bytes(1 << 26)


def gzip_bomb(file: Path) -> None:
    file.write_bytes(gzip.compress(HEAD) + gzip.compress(ZEROS, 1) * 16)


def zstd_bomb(file: Path) -> None:
    file.write_bytes(wrapped(HEAD, "tar.zst") + wrapped(ZEROS, "tar.zst") * 64)


def zstd_window(file: Path) -> None:
    """A frame that asks for 2 GB to look back in."""
    import zstandard

    wide = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=False, hash_log=6)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    file.write_bytes(packer.compress(HEAD) + packer.flush())


def zstd_widest(file: Path) -> None:
    """The widest window that is allowed, filled: half a gigabyte that does not repeat."""
    from random import Random

    import zstandard

    wide = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    noise = Random(0).randbytes(1 << 23)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    with file.open("wb") as out:
        out.write(packer.compress(HEAD))
        for number in range(24):
            out.write(packer.compress(noise[number:] + noise[:number]))
        out.write(packer.flush())


def zip_bomb(file: Path) -> None:
    archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open(WEIGHTS, "w", force_zip64=True) as out:
        for _ in range(8):
            out.write(ZEROS)


def zip_list(file: Path) -> None:
    """A list of a million members."""
    central = b"PK\x01\x02" + bytes(24) + b"\1\0" + bytes(16) + b"a"
    size = len(central) * 1_000_000
    end = bytearray(packed([], "zip"))
    end[8:12] = b"\xff\xff" * 2
    end[12:16] = size.to_bytes(4, "little")
    end[16:20] = (4).to_bytes(4, "little")
    file.write_bytes(b"PK\x03\x04" + central * 1_000_000 + bytes(end))


def pax_bomb(file: Path) -> None:
    content = b"0000100 a=" + b"b" * 89 + b"\n"
    size = 1 << 28
    file.write_bytes(header("x", octal(size), b"x") + content * (size // len(content)))


def gzip_name(file: Path) -> None:
    """A gzip header whose file name does not end."""
    file.write_bytes(b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * (1 << 28))


def gzip_parts(file: Path) -> None:
    """A million empty gzip streams."""
    file.write_bytes(gzip.compress(b"", mtime=0) * 1_000_000)


def padding(file: Path) -> None:
    file.write_bytes(gzip.compress(bytes(1 << 16), 1) * 3000)


BOMBS = {
    "gzip": (gzip_bomb, "more than 100 times its size"),
    "zstd": (zstd_bomb, "more than 100 times its size"),
    "zstd with a wide window": (zstd_window, "asks for too much memory"),
    "zstd with the widest window": (zstd_widest, "is cut short"),
    "zip": (zip_bomb, "more than 100 times its size"),
    "a long list in a zip": (zip_list, "a list of members that is too long"),
    "a long pax header": (pax_bomb, "at most 65536 are read"),
    "a gzip name without end": (gzip_name, "is cut short"),
    "gzip in a million parts": (gzip_parts, "in too many parts"),
    "padding": (padding, "goes on behind its end"),
}

MEASURE = """
import re, sys, time
from pathlib import Path
from tunekit.adapters.archive import unpack
from tunekit.errors import AdapterError
start = time.monotonic()
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
except AdapterError as error:
    print(error)
status = Path("/proc/self/status")
if status.exists():
    print(int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) * 1024)
else:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(time.monotonic() - start)
"""
"""The peak is asked of /proc: `getrusage` remembers the parent's from before the exec."""


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_less_than_200_mb_and_10_seconds(
    world: Path, tmp_path: Path, name: str
) -> None:
    make, reason = BOMBS[name]
    make(tmp_path / "download")
    before = set(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "download", world / "out"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    message, peak, seconds = done.stdout.strip().rsplit("\n", 2)
    assert reason in message
    assert int(peak) < 200e6
    assert float(seconds) < 10
    assert set(tmp_path.rglob("*")) == before
