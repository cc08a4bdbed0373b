"""YAML as version 1.2 reads it, with a line for every key, and nothing that runs or explodes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, cast

import yaml

from tunekit.errors import SpecError
from tunekit.spec.problems import Place

MAX_CHARACTERS = 1_000_000
MAX_REPEATED = 10_000
"""Values that aliases may add to a document."""
MAX_DEPTH = 50


@dataclass(frozen=True)
class Tree:
    """Plain JSON values, and the line on which each key or list item stands."""

    value: Any
    lines: dict[Place, int]


def parse(text: str, source: str) -> Tree:
    """Read one document.

    Raises:
        SpecError: with file, line and column: not YAML, a key twice, a tag, NaN or infinity,
            more than 1 MB, more than 10,000 values repeated by aliases.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpecError(
            f"{source}: is larger than 1 MB; keep the rows in a file of their own and name it "
            "under data"
        )
    try:
        node = _compose(text)
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError) as error:
        raise _not_yaml(error, text, source) from None
    reader = _Reader(source)
    value = None if node is None else reader.value(node, (), 1)
    return Tree(value, {(): 1, **reader.lines})


def scalar(text: str) -> Any:
    """Read an unquoted value by the core schema of YAML 1.2.

    Unlike in YAML 1.1, `1e-4` is a number, and `yes`, `on`, `1_000`, `1:30` and dates are text.

    Raises:
        ValueError: NaN, infinity, or a number too large to hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return int(text)
    if re.fullmatch(r"0o[0-7]+|0x[0-9a-fA-F]+", text):
        return int(text, 0)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        return _finite(float(text))
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return _finite(math.nan)
    return text


_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("is not a finite number")
    return number


def dump(value: Any) -> str:
    """Write values in block style, so that `parse` and any other YAML reader give them back.

    Raises:
        SpecError: a number is not finite.
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = cast("Any", self.peek_event())  # type: ignore[no-untyped-call]
        if tag := getattr(event, "tag", None):
            shown = str(tag).replace("tag:yaml.org,2002:", "!!")
            raise _fault(event.start_mark, f"the tag {shown} is not allowed; write the plain value")
        if self.depth == MAX_DEPTH:
            raise _fault(event.start_mark, f"more than {MAX_DEPTH} levels; a spec needs five")
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values; a node met again came through an alias."""

    def __init__(self, source: str) -> None:
        self.lines: dict[Place, int] = {}
        self._source = source
        self._seen: set[int] = set()
        self._repeated = 0

    def value(self, node: yaml.Node, place: Place, depth: int) -> Any:
        self._count(node, depth)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*place, i), depth) for i, item in enumerate(node.value)]
        return self._scalar(cast("yaml.ScalarNode", node), place)

    def _count(self, node: yaml.Node, depth: int) -> None:
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._repeated > MAX_REPEATED or depth > MAX_DEPTH:
            problem = f"aliases that add more than {MAX_REPEATED} values; write the values out"
            raise self._error(node, (), problem)

    def _item(self, node: yaml.Node, place: Place, depth: int) -> Any:
        self.lines[place] = node.start_mark.line + 1
        return self.value(node, place, depth + 1)

    def _mapping(self, node: yaml.MappingNode, place: Place, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, place)
            line = key_node.start_mark.line + 1
            inner = (*place, key)
            if key in values:
                problem = f"stands twice, first on line {first[key]}; keep one"
                raise self._error(key_node, inner, problem)
            self.lines[inner] = first[key] = line
            values[key] = self.value(value_node, inner, depth + 1)
        return values

    def _key(self, node: yaml.Node, place: Place) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, place, "a key must be a word; put quotes around it")
        if node.value == "<<" and node.style is None:
            raise self._error(node, place, "<< is not YAML 1.2; write the keys out")
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        if node.style is not None:
            return node.value
        try:
            return scalar(node.value)
        except ValueError:
            problem = f"{node.value[:40]} is not a finite number; give one that is"
            raise self._error(node, place, problem) from None

    def _error(self, node: yaml.Node, place: Place, problem: str) -> SpecError:
        mark = node.start_mark
        path = ".".join(map(str, place))
        path = f"{path}: " if path else ""
        return SpecError(f"{self._source}:{mark.line + 1}:{mark.column + 1}: {path}{problem}")


def _fault(mark: yaml.Mark, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _not_yaml(
    error: yaml.MarkedYAMLError | yaml.reader.ReaderError, text: str, source: str
) -> SpecError:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        sign = f"U+{ord(text[error.position]):04X}"
        return SpecError(f"{source}:{line}:{column}: {sign} is not a printable sign; remove it")
    mark = error.problem_mark or error.context_mark
    place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
    problem = f"{error.context or ''} {error.problem or ''}".strip()
    words = next((words for part, words in _MEANINGS.items() if part in problem), problem)
    fix = "" if "; " in words else "; check quotes, brackets and indentation here and just before"
    return SpecError(f"{place}: {words}{fix}")


_MEANINGS = {
    "'\\t'": "a tab; indent with spaces",
    "mapping values are not allowed": (
        "a second ': ' on one line; put quotes around a value that holds ': ', "
        "or put the inner key on a line of its own, further in"
    ),
    "could not find expected ':'": "a key without ': '; write each line as key: value",
    "expected a single document": "a second document; keep one per file and remove this ---",
    "expected <block end>": (
        "this line does not line up with those before it; give keys of one group the same "
        "indentation, and close every quote and bracket"
    ),
    "expected ',' or": "an open bracket; separate the parts with commas and close it",
    "unexpected end of stream": "an open quote; close it",
    "undefined alias": "an alias (*) without its anchor (&); write the value out",
    "cannot start any token": "a character with a meaning of its own; put quotes around the value",
}
"""What the parser says, and what it means to somebody who writes a spec."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _write_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    quoted = value == "<<" or not value.isprintable() or not _reads_as_text(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


def _reads_as_text(value: str) -> bool:
    try:
        return isinstance(scalar(value), str)
    except ValueError:
        return False


def _write_number(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    if not math.isfinite(value):
        raise SpecError(f"{value} is not a finite number and cannot be written to a spec")
    return dumper.represent_float(value)


_Dumper.add_representer(str, _write_text)
_Dumper.add_representer(float, _write_number)
