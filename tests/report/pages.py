"""Look at a page as a parser does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import html5lib

from tunekit.report import page
from tunekit.report.reading import Reading
from tunekit.store import RunFolder

ACTIVE = {
    *("script", "iframe", "frame", "object", "embed", "applet", "base", "link", "form", "input"),
    *("button", "textarea", "select", "img", "image", "video", "audio", "source", "use", "a"),
    *("animate", "set", "foreignobject", "math", "template", "noscript", "portal"),
}
"""Elements that run, load, send or go elsewhere; links within the page are taken out of these."""


def text_of(*folders: RunFolder) -> str:
    """Give the page of a run, or of several."""
    readings = [Reading.of(folder) for folder in folders]
    return page.of_run(readings[0]) if len(readings) == 1 else page.of_runs(readings)


def parsed(text: str) -> ElementTree.Element:
    """Parse as a browser does; anything that is not valid on the way is an error."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(text)


def active(tree: ElementTree.Element) -> Iterator[str]:
    """Name what could run, load or lead away."""
    for element in tree.iter():
        if not isinstance(element.tag, str):
            continue
        name = element.tag.rpartition("}")[2].lower()
        inner = name == "a" and str(element.get("href")).startswith("#")
        if name in ACTIVE and not inner:
            yield f"<{name}>"
        for key, value in element.attrib.items():
            bare = key.rpartition("}")[2].lower()
            url = bare in ("href", "src", "action", "data", "srcdoc", "xlink:href") and not inner
            if bare.startswith("on") or url or bare == "style":
                yield f"{name} {bare}={value}"


def words(tree: ElementTree.Element) -> str:
    """Give the text that a reader sees, in one line."""
    body: Any = tree.find("body")
    return " ".join(" ".join(body.itertext()).split())


def section(tree: ElementTree.Element, name: str) -> ElementTree.Element | None:
    """Give the part of the page with this id."""
    return next((each for each in tree.iter("section") if each.get("id") == name), None)


def save(path: Path, *folders: RunFolder) -> Path:
    """Write the page of runs."""
    return page.write(path, [Reading.of(folder) for folder in folders])
