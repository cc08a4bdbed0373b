"""A product in pieces is the product, and pieces are taken where their times say so."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from tunekit.backends.local.fast.products import ROWS, Products, pieces

STRAIGHT = [rows * 1e-6 for rows in ROWS]


@given(st.integers(1, 5000))
def test_where_time_grows_with_rows_nothing_is_cut(rows: int) -> None:
    assert pieces(rows, STRAIGHT) == 1


def test_rows_that_take_long_at_once_are_cut_into_as_many_as_do_not() -> None:
    slow = [
        time * (2 if 512 < rows < 1536 else 1) for rows, time in zip(ROWS, STRAIGHT, strict=True)
    ]
    assert [pieces(rows, slow) for rows in (512, 640, 1024, 1536)] == [1, 2, 2, 1]


def test_rows_beyond_those_that_were_timed_take_time_in_proportion() -> None:
    few = STRAIGHT[:4]
    assert pieces(10 * ROWS[3], few) == 1


@given(st.integers(1, 9))
def test_pieces_make_up_the_whole(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(37, 24, generator=generator).bfloat16()
    y = torch.randn(24, 11, generator=generator).bfloat16()
    products = Products(Path("nowhere"))
    products._pieces[37, 24, 11] = count
    out = torch.full((37, 15), 7.0).bfloat16()
    products.mm(x, y, out[:, :11])
    torch.testing.assert_close(out[:, :11], x @ y, rtol=1 / 128, atol=1 / 128)
    assert (out[:, 11:] == 7).all()


def test_times_are_taken_once_and_kept(tmp_path: Path) -> None:
    place = tmp_path / "times.json"
    x, y = torch.ones(5, 24).bfloat16(), torch.ones(24, 11).bfloat16()
    for _ in range(2):
        Products(place).mm(x, y, torch.empty(5, 11).bfloat16())
        times = json.loads(place.read_text())
        assert list(times) == ["24 x 11"]
        assert len(times["24 x 11"]) == len(ROWS)
        assert min(times["24 x 11"]) > 0
        first = place.read_text()
    assert place.read_text() == first


def test_what_cannot_be_read_is_timed_again(tmp_path: Path) -> None:
    place = tmp_path / "times.json"
    place.write_text("{")
    y = torch.ones(24, 11).bfloat16()
    Products(place).mm(torch.ones(5, 24).bfloat16(), y, torch.empty(5, 11).bfloat16())
    assert "24 x 11" in json.loads(place.read_text())


def test_rows_behind_those_of_a_product_are_multiplied_where_there_is_room() -> None:
    generator = torch.Generator().manual_seed(3)
    room = torch.randn(64, 24, generator=generator).bfloat16()
    room[37:] = torch.nan
    y = torch.randn(24, 11, generator=generator).bfloat16()
    products = Products(Path("nowhere"))
    products._pieces[48, 24, 11] = products._pieces[37, 24, 11] = 1
    wide, tight = torch.full((64, 15), 7.0).bfloat16(), torch.full((37, 11), 7.0).bfloat16()
    for out in (wide[:37, :11], tight):
        products.mm(room[:37], y, out)
        torch.testing.assert_close(out, room[:37] @ y, rtol=1 / 128, atol=1 / 128)
    assert wide[37:48, :11].isnan().all()
    assert (wide[48:] == 7).all()
    assert (wide[:, 11:] == 7).all()
