"""Code blocks of Markdown pages, with their place."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_OPEN = re.compile(r"^( *)```(.*)$")
_NOT_RUN = re.compile(r"^ *<!-- not run: .+ -->$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and whether the page says not to run it."""

    page: str
    line: int
    language: str
    text: str
    run: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Give the blocks of a page in order."""
    name = page.relative_to(ROOT).as_posix()
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    before = ""
    for number, line in lines:
        opened = _OPEN.match(line)
        if opened:
            body = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner)
            text = textwrap.dedent("\n".join(body))
            yield Block(name, number, opened[2].strip(), text, run=not _NOT_RUN.match(before))
        before = line or before


def all_blocks(*languages: str) -> list[Block]:
    """Give the blocks of every page in these languages, or in all."""
    found = [block for page in PAGES for block in blocks(page)]
    return [block for block in found if not languages or block.language in languages]
