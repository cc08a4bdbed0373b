"""Lines over an axis as static SVG: drawn by pygal, cut down to what a page styles by itself."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from tunekit.report.clean import clean
from tunekit.report.figures import brief, number
from tunekit.report.series import Point, thinned

COLOURS = 8
"""Lines that the style sheet tells apart."""
_WIDTH, _HEIGHT = 420, 210
_VISIBLE = 12
"""Dots of a line with no more points than this are drawn; of others they show under the pointer."""
_NAMESPACE = re.compile(r"^\{.*\}")
_KEPT = {
    "svg": ("viewBox",),
    "g": ("class", "transform"),
    "path": ("class", "d"),
    "text": ("class", "x", "y"),
    "circle": ("class", "cx", "cy", "r"),
}
_LAYERS = {"plot", "plot overlay", "graph xy-graph vertical"}
_DIGITS = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[Point]
    colour: int = 0


def drawn(title: str, lines: Sequence[Line], *, across: str = "step", zero: bool = False) -> Markup:
    """Draw lines; `zero` lets the axis begin at nought.

    Tooltips are `<title>` elements; colours and fonts come from the page's style sheet.
    """
    kept = [Line(line.name, thinned(line.points), line.colour) for line in lines if line.points]
    along = [x for line in kept for x, _ in line.points]
    up = [y for line in kept for _, y in line.points]
    rows = ticks(min(up + [0.0] * zero), max(up))
    ends = (min(along), max(along)) if min(along) < max(along) else (along[0] - 1, along[0] + 1)
    columns = [tick for tick in ticks(*ends) if ends[0] <= tick <= ends[1]]
    chart = _library().XY(
        width=_WIDTH,
        height=_HEIGHT,
        margin=2,
        margin_right=12,
        margin_top=6,
        js=(),
        show_legend=False,
        disable_xml_declaration=True,
        dots_size=3,
        xrange=ends,
        range=(rows[0], rows[-1]),
        x_labels=[{"value": tick, "label": brief(tick)} for tick in columns],
        y_labels=[{"value": tick, "label": brief(tick)} for tick in rows],
    )
    for line in kept:
        chart.add("", list(line.points))
    tree = _pruned(ElementTree.fromstring(chart.render()))
    _told(tree, kept, across)
    tree.set("role", "img")
    tree.set("aria-label", clean(title))
    return Markup(ElementTree.tostring(tree, encoding="unicode"))


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Give round numbers from below `low` to above `high`, `most` steps apart at most."""
    if high <= low:
        reach = abs(low) or 1.0
        low, high = low - reach / 2, high + reach / 2
    step = _round((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{at * step:.12g}") for at in range(first, last + 1)]


def _library() -> Any:
    """Import pygal, without what it leaves in `sys.meta_path` for maps that nobody draws here.

    That finder is of a kind which Python 3.11 warns of at each import, and later ones ignore.
    """
    before = list(sys.meta_path)
    pygal = import_module("pygal")
    left = [finder for finder in sys.meta_path if finder not in before]
    for finder in left:
        if type(finder).__module__ == "pygal":
            sys.meta_path.remove(finder)
    return pygal


def _round(step: float) -> float:
    """Give the next of 1, 2, 5, 10, 20, 50 and so on."""
    size = 10.0 ** math.floor(math.log10(step))
    return next((size * times for times in (1, 2, 5) if size * times >= step * 0.999), 10 * size)


def _pruned(element: ElementTree.Element) -> ElementTree.Element:
    """Copy what a page needs, element by element; anything unknown stays out."""
    name = _NAMESPACE.sub("", element.tag)
    attributes = {
        key: _DIGITS.sub(lambda found: f"{float(found[0]):.1f}", value)
        for key in _KEPT[name]
        if (value := element.get(key))
    }
    made = ElementTree.Element(name, attributes)
    if name == "text":
        made.text = element.text
    made.extend(_pruned(child) for child in element if _wanted(child))
    return made


def _wanted(element: ElementTree.Element) -> bool:
    name = _NAMESPACE.sub("", str(element.tag))
    if name not in _KEPT:
        return False
    kind = element.get("class", "")
    return name != "g" or kind in _LAYERS or kind.split()[0] in ("axis", "guides", "series", "dots")


def _told(tree: ElementTree.Element, lines: Iterable[Line], across: str) -> None:
    """Colour each line, and let each dot say what it stands for."""
    by_line: dict[int, list[ElementTree.Element]] = {}
    for group in tree.iter("g"):
        kind = group.get("class", "").split()
        if kind[:1] == ["series"]:
            by_line.setdefault(int(kind[1].removeprefix("serie-")), []).append(group)
    for at, line in enumerate(lines):
        shown = "few" if len(line.points) <= _VISIBLE else "many"
        for group in by_line.get(at, ()):
            group.set("class", f"series s{line.colour % COLOURS} {shown}")
        dots = [dot for group in by_line.get(at, ()) for dot in group.iter("circle")]
        for dot, (x, y) in zip(dots, line.points, strict=True):
            dot.set("class", "dot")
            title = ElementTree.SubElement(dot, "title")
            title.text = clean(f"{line.name}: {number(y, 4)} at {across} {number(x, 6)}")
