"""Sound archives of every form, and places to unpack them in."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.adapters.packed import CONFIG, CONTAINERS, WEIGHTS, Entry, folder, packed, tar, wrapped
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.archive import unpack
from tunekit.errors import AdapterError, MissingExtra

LONG = "ft-" + "0123456789" * 12


def entries(adapter: Path, prefix: str = "") -> list[Entry]:
    return [Entry(prefix + file.name, file.read_bytes()) for file in sorted(adapter.iterdir())]


def put(folder: Path, content: bytes) -> Path:
    file = folder / "download"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("prefix", ["", "./", "output/final/", f"{LONG}/{LONG}/"], ids=len)
def test_an_adapter_comes_out_as_it_went_in(
    tmp_path: Path, trained: Path, container: str, prefix: str
) -> None:
    archive = put(tmp_path, packed(entries(trained, prefix), container))
    unpack(archive, tmp_path / "out")
    found = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert found == {file.name: file.read_bytes() for file in trained.iterdir()}
    assert Adapter.open(tmp_path / "out").kind == "adapter"
    assert {file.name for file in tmp_path.iterdir()} == {"download", "out"}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(tmp_path: Path, trained: Path, form: int) -> None:
    name = LONG[:90] + "/" + "a" * 40 + "/"
    unpack(put(tmp_path, tar(entries(trained, name), form)), tmp_path / "out")
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()


@pytest.mark.parametrize("options", [["cf"], ["czf"], ["--format=v7", "-cf"], ["--posix", "-cf"]])
def test_what_the_program_tar_writes_is_read(
    tmp_path: Path, trained: Path, options: list[str]
) -> None:
    archive = tmp_path / "download"
    subprocess.run(["tar", *options, archive, "-C", trained.parent, trained.name], check=True)
    unpack(archive, tmp_path / "out")
    assert Adapter.open(tmp_path / "out").describe().rank == 4


def test_a_size_beyond_octal_digits_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo(WEIGHTS)
    info.pax_headers = {"size": "3", "comment": "x"}
    content = info.tobuf(tarfile.PAX_FORMAT) + b"abc".ljust(512, b"\0") + bytes(1024)
    unpack(put(tmp_path, content), tmp_path / "out")
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == b"abc"


def test_several_gzip_streams_are_one_archive(tmp_path: Path, trained: Path) -> None:
    content = tar(entries(trained))
    parts = [wrapped(content[at : at + 700], "tar.gz") for at in range(0, len(content), 700)]
    unpack(put(tmp_path, b"".join(parts) + bytes(100)), tmp_path / "out")
    assert Adapter.open(tmp_path / "out").kind == "adapter"


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_belongs_to_no_adapter_is_passed_over(
    tmp_path: Path, trained: Path, container: str
) -> None:
    more = [
        folder("run"),
        Entry("run/training_args.json"),
        # Pickles that trainers leave, never written and so never loaded.
        Entry("run/training_args.bin", b"\x80\x04."),
        Entry("run/rng_state_0.pth", b"\x80\x04."),
        Entry("run/._adapter_config.json", b"\0\5\x16\7"),
        Entry("run/.netrc"),
        Entry("run/tunekit.json", b'{"run_id": "planted", "base_model": "x"}'),
        Entry("run/logs/events.txt"),
        folder("run/empty"),
    ]
    archive = put(tmp_path, packed([*more, *entries(trained, "run/")], container))
    unpack(archive, tmp_path / "out")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {file.name for file in trained.iterdir()}


def test_files_are_private_under_any_umask(tmp_path: Path, trained: Path) -> None:
    archive = put(tmp_path, packed(entries(trained), "tar"))
    old = os.umask(0)
    try:
        unpack(archive, tmp_path / "out")
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "out").iterdir()} == {0o600}


def test_an_empty_folder_is_filled_and_a_full_one_is_left_alone(
    tmp_path: Path, trained: Path
) -> None:
    archive, out = put(tmp_path, packed(entries(trained), "zip")), tmp_path / "out"
    out.mkdir()
    unpack(archive, out)
    before = sorted(out.iterdir())
    with pytest.raises(AdapterError, match="out: is not an empty folder"):
        unpack(archive, out)
    assert sorted(out.iterdir()) == before


def test_a_link_is_no_place_to_unpack_in(tmp_path: Path, trained: Path) -> None:
    archive = put(tmp_path, packed(entries(trained), "tar"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterError, match="is not an empty folder"):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_place_or_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="gone: there is no such file"):
        unpack(tmp_path / "gone", tmp_path / "out")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AdapterError, match="pipe: there is no such file"):
        unpack(tmp_path / "pipe", tmp_path / "out")
    with pytest.raises(AdapterError, match="no such folder to unpack in"):
        unpack(put(tmp_path, b"x"), tmp_path / "gone" / "out")


def test_the_caller_says_how_much_may_be_unpacked(tmp_path: Path, trained: Path) -> None:
    for container in CONTAINERS:
        archive = put(tmp_path, packed(entries(trained), container))
        with pytest.raises(AdapterError, match="unpacks to more than 10000 bytes"):
            unpack(archive, tmp_path / "out", most_bytes=10_000)
        assert not (tmp_path / "out").exists()


def test_a_disk_without_room_stops_it_before_anything_is_written(
    tmp_path: Path,
) -> None:
    info = tarfile.TarInfo(WEIGHTS)
    info.size = 2**60
    archive = put(tmp_path, info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(AdapterError, match=f"{WEIGHTS}: has {2**60} bytes, and the disk is full"):
        unpack(archive, tmp_path / "out", most_bytes=2**62)
    assert [file.name for file in tmp_path.iterdir()] == ["download"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no archive"),
        (b"<!DOCTYPE html><title>Sign in</title>" * 50, "is no tar, tar.gz, tar.zst or zip"),
        (b"<html>", "is no tar, tar.gz, tar.zst or zip"),
        (b"BZh91AY&SY" + bytes(600), "is no tar, tar.gz, tar.zst or zip"),
        (wrapped(b"<html>", "tar.gz"), "is no tar"),
        (wrapped(wrapped(tar([Entry(CONFIG)]), "tar.gz"), "tar.gz"), "is no tar"),
        (tar([]), "holds no file of an adapter"),
        (packed([], "zip"), "holds no file of an adapter"),
        (tar([Entry("notes.txt")]), "holds no file of an adapter"),
    ],
)
def test_what_is_no_archive_of_an_adapter_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(AdapterError, match=reason):
        unpack(put(tmp_path, content), tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["download"]


def test_without_zstandard_the_pip_line_is_given(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = put(tmp_path, packed(entries(trained), "tar.zst"))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tunekit-sdk\[data\]'"):
        unpack(archive, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["download"]


def test_unpacking_loads_no_training_library_and_never_asks_tarfile(
    tmp_path: Path, trained: Path
) -> None:
    archive = put(tmp_path, packed(entries(trained), "tar.gz"))
    code = (
        "import sys; from pathlib import Path; from tunekit.adapters.archive import unpack\n"
        "unpack(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print([n for n in ('torch', 'numpy', 'peft', 'tarfile') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(archive), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
