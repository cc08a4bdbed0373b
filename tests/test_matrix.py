"""The generated pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_checks_is_what_the_catalogue_says() -> None:
    module = script("make_checks")
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: make generated"


def test_the_support_page_is_what_the_plans_say() -> None:
    module = script("make_matrix")

    written = module.PAGE.read_text(encoding="utf-8")

    assert written == module.page(), "run: make generated"
    assert "unsupported" in written
