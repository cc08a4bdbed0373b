"""Rows that weigh more or less than others stop a plan for this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.specs import chats, small
from tunekit import errors


def _rows() -> list[dict[str, Any]]:
    return [{**row, "weight": 0.5 if number == 3 else 1} for number, row in enumerate(chats(24))]


def test_a_weight_is_refused_in_the_plan_before_anything_starts(tmp_path: Path) -> None:
    spec = small(tmp_path, data=_rows(), validation=None)
    with pytest.raises(errors.UnsupportedError, match="1 rows with a weight"):
        tk.submit(spec)
    with pytest.warns(UserWarning, match="counts once here"):
        tk.plan(spec).require(strict=False)


@pytest.mark.parametrize(
    "settled", [{"checks": {"row-weight": "warning"}}, {"drop": ["row-weight"]}]
)
def test_a_spec_that_settles_what_becomes_of_them_is_taken(
    tmp_path: Path, settled: dict[str, Any]
) -> None:
    data = tk.Data(source=_rows(), **settled)
    assert tk.plan(small(tmp_path, data=data, validation=None)).unsupported == ()


def test_the_weight_1_is_no_weight(tmp_path: Path) -> None:
    rows = [{**row, "weight": 1} for row in chats(24)]
    assert tk.plan(small(tmp_path, data=rows)).unsupported == ()
