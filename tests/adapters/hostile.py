"""Kinds of hostile archives: for each container the bytes, and what the refusal says."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable, Sequence

from tests.adapters.packed import (
    CONFIG,
    WEIGHTS,
    Entry,
    block,
    central,
    changed_zip,
    folder,
    header,
    link,
    octal,
    put,
    tar,
    zipped,
)

GOOD = [Entry(CONFIG), Entry(WEIGHTS, b"weights")]
END = bytes(1024)
OUTSIDE = "OUTSIDE"
"""Stands for a folder of the test, which must not change."""


def chain() -> list[Entry]:
    """Links whose resolved path is longer than a path may be, then a way out (CVE-2025-4517)."""
    deep, path, entries = "d" * 247, "", list[Entry]()
    for letter in "abcdefghijklmnop":
        entries += [folder(path + deep), link(path + letter, deep)]
        path += deep + "/"
    path = "/".join("abcdefghijklmnop")
    entries += [
        link(f"{path}/{'l' * 254}", "../" * 16),
        link("escape", f"{path}/{'l' * 254}/../{OUTSIDE}"),
        Entry(f"escape/{CONFIG}", b"overwritten"),
    ]
    return entries


ENTRIES: dict[str, tuple[Sequence[Entry], str]] = {
    "a name that climbs": ([Entry(f"../{CONFIG}"), *GOOD], "leads out of its folder"),
    "a name that climbs from inside": ([Entry(f"a/b/../../../{CONFIG}")], "leads out"),
    "a folder that climbs": ([folder("../x"), *GOOD], "leads out of its folder"),
    "an absolute name": ([Entry(f"/{OUTSIDE}/{CONFIG}")], "an absolute name"),
    "a drive": ([Entry(f"C:/{CONFIG}")], "an absolute name"),
    "a share": ([Entry(rf"\\host\share\{CONFIG}")], "control characters or backslashes"),
    "backslashes": ([Entry(rf"..\..\{CONFIG}")], "control characters or backslashes"),
    "a link to a folder": (
        [link("adapter", OUTSIDE), Entry(f"adapter/{CONFIG}")],
        "adapter: is a symbolic link",
    ),
    "a link in place of a file": (
        [link(CONFIG, f"{OUTSIDE}/victim"), Entry(CONFIG)],
        f"{CONFIG}: is a symbolic link",
    ),
    "a chain of links": (chain(), "is a symbolic link"),
    "a pipe": ([Entry(CONFIG, b"", tarfile.FIFOTYPE, stat.S_IFIFO)], "is a pipe"),
    "a device of characters": ([Entry(CONFIG, b"", tarfile.CHRTYPE, stat.S_IFCHR)], "is a device"),
    "a device of blocks": ([Entry(CONFIG, b"", tarfile.BLKTYPE, stat.S_IFBLK)], "is a device"),
    "a name twice": ([*GOOD, Entry(CONFIG, b"[]")], f"{CONFIG}: stands there twice"),
    "a twin in capitals": ([*GOOD, Entry("Adapter_Config.JSON")], "stands there twice"),
    "capitals alone": ([Entry("ADAPTER_CONFIG.json")], "is spelled otherwise"),
    "a letter that looks alike": (
        [*GOOD, Entry("to\u212aenizer.json")],
        "is spelled otherwise than tokenizer.json",
    ),
    "commands to the terminal": ([Entry(f"\x1b]0;x\x07{CONFIG}")], r"\?\]0;x\?adapter_config"),
    "a line break": ([Entry(f"a\n{CONFIG}")], "control characters"),
    "text that turns round": ([Entry(f"\u202e{CONFIG}")], "control characters"),
    "a name of 2000 letters": ([Entry("a" * 2000)], "a name that is too long"),
    "3000 members": ([Entry(f"{n}.txt") for n in range(3000)], "more than 64 members"),
    "3000 folders": ([folder(str(n)) for n in range(3000)], "more than 64 members"),
    "a pickle": ([*GOOD, Entry("pytorch_model.bin")], "pytorch_model.bin: may run code"),
    "code": ([*GOOD, Entry("x/modeling.PY")], "x/modeling.PY: is code"),
    "a library": ([*GOOD, Entry("libkernel.so.1")], "libkernel.so.1: is code"),
    "two adapters": ([*GOOD, Entry(f"b/{CONFIG}", b"2")], "lies beside other files"),
    "a folder with content": (
        [Entry("a/", b"x" * 9, tarfile.REGTYPE, stat.S_IFDIR)],
        "a/?: is a folder with content",
    ),
}


def pax(*records: tuple[str, str], kind: bytes = b"x") -> bytes:
    lines = b""
    for key, value in records:
        body = f" {key}={value}\n".encode()
        size = len(body) + 1
        while len(str(size)) + len(body) != size:
            size += 1
        lines += str(size).encode() + body
    return header("PaxHeaders/x", octal(len(lines)), kind) + block(lines)


def file_of(name: str = CONFIG, content: bytes = b"{}") -> bytes:
    return header(name, octal(len(content))) + block(content)


def long_name(name: str) -> bytes:
    content = name.encode() + b"\0"
    return header("././@LongLink", octal(len(content)), b"L") + block(content)


TARS: dict[str, tuple[bytes, str]] = {
    "a hard link": (tar([Entry(CONFIG, b"", tarfile.LNKTYPE, 0, "/x")]), "is a hard link"),
    "a sparse file": (header(CONFIG, octal(0), b"S") + END, "is a sparse file"),
    "a sparse file in pax": (
        pax(("GNU.sparse.major", "1"), ("GNU.sparse.name", CONFIG)) + file_of() + END,
        "holds a sparse file",
    ),
    "a part of a file": (header(CONFIG, octal(0), b"M") + END, "is part of a file"),
    "an unknown kind": (header(CONFIG, octal(0), b"Z") + END, "is of an unknown kind"),
    "a long link": (header(CONFIG, octal(0), b"K") + END, "is of an unknown kind"),
    "another name in pax": (pax(("path", f"../victims/{CONFIG}")) + file_of() + END, "leads out"),
    "another long name": (long_name(f"../victims/{CONFIG}") + file_of() + END, "leads out"),
    "two long names": (long_name("a") + long_name(CONFIG) + file_of() + END, "is named twice"),
    "a long name and one in pax": (
        pax(("path", "a")) + long_name(CONFIG) + file_of() + END,
        "is named twice",
    ),
    "a name for all": (
        pax(("path", CONFIG), kind=b"g") + file_of("a") + END,
        "gives all its members one name",
    ),
    "a pax header of 9 GB": (header("x", octal(0o77777777777), b"x") + END, "at most 65536"),
    "a long name of 9 GB": (header("x", octal(0o77777777777), b"L") + END, "at most 65536"),
    "a pax header without end": (
        header("x", octal(9), b"x") + block(b"99 path=a") + file_of() + END,
        "a pax header is malformed",
    ),
    "a pax header of length zero": (
        header("x", octal(9), b"x") + block(b"0 path=a\n") + file_of() + END,
        "a pax header is malformed",
    ),
    "a negative size in pax": (pax(("size", "-512")) + file_of() + END, "no sensible size"),
    "a negative size": (header(CONFIG, b"\xff" * 12) + END, "no sensible size"),
    "a size beyond all disks": (
        header(WEIGHTS, b"\x80" + b"\0" * 4 + b"\x10" + b"\0" * 6) + END,
        "the disk is full",
    ),
    "a size that is no number": (header(CONFIG, b"12x4567\0") + END, "no sensible size"),
    "headers without end": (pax(("comment", "x")) * 5000 + END, "in too many parts"),
    "a damaged header": (file_of() + b"x" * 512 + END, "is damaged"),
    "a cut header": (file_of() + file_of("README.md")[:300], "is cut short"),
    "a cut file": (header(WEIGHTS, octal(5000)) + bytes(512), "is cut short"),
    "no end": (file_of(), "is cut short"),
    "a second archive behind the end": (file_of() + END + file_of("README.md"), "behind its end"),
}


def _zip(change: Callable[[bytearray], None], entries: Sequence[Entry] = GOOD) -> bytes:
    return changed_zip(entries, change)


def _set(at: int, form: str, value: int, number: int = 0) -> Callable[[bytearray], None]:
    return lambda content: put(content, central(content, number) + at, form, value)


def _end(at: int, form: str, value: int) -> Callable[[bytearray], None]:
    return lambda content: put(content, content.rindex(b"PK\x05\x06") + at, form, value)


def _overlap(content: bytearray) -> None:
    """Let the second member lie over the first (a bomb of many members, CVE-2024-0450)."""
    put(content, central(content, 1) + 42, "<I", 1)


def _local(content: bytearray) -> None:
    """The name in front of the content is another than that in the list."""
    content[30:33] = b"../"


ZIPS: dict[str, tuple[bytes, str]] = {
    "a socket": (zipped([Entry(CONFIG, b"", mode=stat.S_IFSOCK)]), "is a socket"),
    "encrypted": (_zip(_set(8, "<H", 1)), "is encrypted"),
    "another method": (zipped(GOOD, zipfile.ZIP_LZMA), "a method other than deflate"),
    "bzip2": (zipped(GOOD, zipfile.ZIP_BZIP2), "a method other than deflate"),
    "an unknown method": (_zip(_set(10, "<H", 77)), "a method other than deflate"),
    "members that share bytes": (_zip(_overlap), "lies over"),
    "two names": (_zip(_local), "differ"),
    "a name with a zero": (
        zipped([Entry("adapter_config.jsonX..txt")]).replace(b"jsonX", b"json\0"),
        "control characters",
    ),
    "a list of 4 GB": (_zip(_end(12, "<I", 0xFFFFFFF0)), "damaged|too long"),
    "a list that lies beyond the end": (_zip(_end(16, "<I", 0xFFFFFF)), "lies before the archive"),
    "a member beyond the end": (_zip(_set(42, "<I", 0xFFFFFF)), "cut short"),
    "a larger size than the content": (_zip(_set(24, "<I", 5000)), "damaged|does not have"),
    "a smaller size than the content": (_zip(_set(24, "<I", 1)), "damaged"),
    "more packed bytes than there are": (_zip(_set(20, "<I", 90_000, 1)), "cut short"),
    "a wrong sum": (_zip(_set(16, "<I", 1)), "damaged"),
    "changed content": (
        zipped(GOOD, zipfile.ZIP_STORED).replace(b"weights", b"WEIGHTS", 1),
        "damaged",
    ),
    "no list": (zipped(GOOD)[:-22], "damaged"),
    "cut in the middle": (zipped(GOOD)[:60], "damaged"),
    "empty list": (b"PK\x05\x06" + bytes(18), "holds no file"),
    "deflate that is none": (_zip(lambda c: c.__setitem__(slice(49, 53), b"\xff" * 4)), "damaged"),
    "a version from the future": (_zip(_set(6, "<H", 999)), "damaged"),
}
