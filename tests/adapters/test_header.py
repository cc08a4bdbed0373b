"""Headers and numbers of safetensors, against any bytes and against torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunekit.adapters.header import Tensor, read_header
from tunekit.adapters.numbers import is_finite, is_zero
from tunekit.errors import AdapterError

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

OFFSETS = st.lists(st.integers(-8, 40), min_size=0, max_size=3)
ENTRIES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["dtype", "shape", "data_offsets", "x"]),
    st.one_of(st.sampled_from(["F32", "BF16", "U8", "", None, {}]), OFFSETS, st.booleans()),
)
HEADERS = st.dictionaries(
    st.text(max_size=4), st.one_of(ENTRIES, st.none(), st.integers(), OFFSETS), max_size=3
)


@SHARED
@given(content=st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    try:
        read_header(file)
    except AdapterError as error:
        assert str(file) in str(error)


@SHARED
@given(header=HEADERS, body=st.binary(max_size=40))
def test_any_header_is_refused_or_its_tensors_fill_the_file(
    tmp_path: Path, header: dict[str, Any], body: bytes
) -> None:
    text = json.dumps(header).encode()
    file = tmp_path / "x.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)
    try:
        tensors = read_header(file)
    except AdapterError:
        return
    assert sum(tensor.end - tensor.start for tensor in tensors.values()) == len(body)


def test_a_header_tells_what_safetensors_wrote(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    wanted = {"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}
    save_file(wanted, tmp_path / "x.safetensors", {"format": "pt"})
    found = read_header(tmp_path / "x.safetensors")
    assert {n: (t.dtype, t.shape, t.count) for n, t in found.items()} == {
        "a": ("F32", (2, 3), 6),
        "b": ("BF16", (4,), 4),
    }


@pytest.mark.parametrize(
    ("name", "size"), [("float16", 2), ("bfloat16", 2), ("float32", 4), ("float64", 8)]
)
@SHARED
@given(data=st.data())
def test_finite_and_zero_are_what_torch_says(
    tmp_path: Path, name: str, size: int, data: st.DataObject
) -> None:
    import torch

    specials = st.sampled_from([b"\0" * size, b"\xff" * size, (b"\0" * size)[:-1] + b"\x80"])
    numbers = data.draw(st.lists(st.one_of(specials, st.binary(min_size=size, max_size=size))))
    edge = data.draw(
        st.sampled_from([b"", b"\x7f", b"\x80\x7f", b"\x7c", b"\xf0\x7f", b"\x80\xff"])
    )
    content = b"".join([*numbers, edge.rjust(size, b"\0")])
    file = tmp_path / "numbers"
    file.write_bytes(content)
    short = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}[name]
    tensor = Tensor("t", short, (len(content) // size,), 0, len(content))
    values = torch.frombuffer(bytearray(content), dtype=getattr(torch, name))
    assert is_finite(file, tensor) == bool(values.isfinite().all())
    assert is_zero(file, tensor) <= bool((values.abs() < 1e-4).all())
    assert is_zero(file, tensor) >= bool(content.strip(b"\0") == b"")
