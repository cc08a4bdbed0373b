"""The page of what is supported says what the plans say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "make_matrix.py"


def test_the_support_page_is_what_the_plans_say() -> None:
    spec = importlib.util.spec_from_file_location("make_matrix", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    written = module.PAGE.read_text(encoding="utf-8")

    assert written == module.page(), "run: make generated"
    assert "unsupported" in written
