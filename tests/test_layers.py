"""The direction of imports, and the size of files and functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "tunekit"
LAYERS = (
    ("errors",),
    ("files", "home", "printable"),
    ("embedded", "hub"),
    ("events", "spec", "models", "adapters"),
    ("data",),
    ("planning", "evaluation"),
    ("backends", "store"),
    ("report", "trackers"),
    ("running",),
    ("__init__",),
    ("testing",),
    ("cli",),
)
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def part(module: str) -> str:
    """Give the file or folder below `tunekit` that a dotted name lies in."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[1] in HEIGHT else "__init__"


def dotted(path: Path) -> str:
    names = ("tunekit", *path.with_suffix("").parts)
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


MODULES = {dotted(path) for path in FILES}


def runtime(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk the tree, but not into `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from runtime(node)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Give the modules of tunekit that a file imports, at the top or inside a function."""
    found: set[str] = set()
    for node in runtime(tree(path)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("tunekit")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tunekit"):
            inner = {f"{node.module}.{name.name}" for name in node.names} & MODULES
            found |= inner or {node.module or ""}
    return frozenset(found)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_imports_only_from_layers_below_its_own(path: Path) -> None:
    own = part(dotted(path))
    wrong = [
        module
        for module in sorted(imports(path))
        if part(module) != own and HEIGHT[part(module)] >= HEIGHT[own]
    ]
    assert not wrong, f"{path} ({own}) reaches up or sideways to {wrong}"


def test_every_file_belongs_to_a_layer() -> None:
    assert {path.parts[0].removesuffix(".py") for path in FILES} - set(HEIGHT) == set()


def test_no_circle_stands_between_files() -> None:
    arrows = {dotted(path): set(imports(path)) - {dotted(path)} for path in FILES}
    while leaves := {name for name, to in arrows.items() if not to & arrows.keys()}:
        for name in leaves:
            del arrows[name]
    assert not arrows, f"these import each other, or wait for those that do: {sorted(arrows)}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_file_is_longer_than_400_lines_and_no_function_than_60(path: Path) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 400
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree(path))
        if isinstance(node, functions)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}
