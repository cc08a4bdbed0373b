"""A spec goes to a file and comes back; overrides and paths mean what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.spec.strategies import BACKENDS, CALM, SPECS
from tunekit.errors import SpecError
from tunekit.spec.document import Document, dumps, load, loads
from tunekit.spec.finetune import FineTune
from tunekit.spec.methods import LoRA

HEAD = "model: acme/small\ndata: rows.jsonl\n"


def wishes(spec: FineTune) -> dict[str, Any]:
    return spec.minimal()


@CALM
@given(SPECS, BACKENDS)
def test_a_spec_written_as_yaml_reads_back_equal(
    spec: FineTune, backend: str | dict[str, Any] | None
) -> None:
    document = loads(dumps(spec, backend=backend))
    assert document == Document(spec, "local" if backend is None else backend)
    assert wishes(document.spec) == wishes(spec)


@CALM
@given(SPECS)
def test_a_spec_written_as_json_reads_back_equal(spec: FineTune) -> None:
    document = loads(json.dumps(spec.minimal()), "spec.json")
    assert document == Document(spec)
    assert wishes(document.spec) == wishes(spec)


def test_yaml_is_written_in_blocks_in_the_order_of_the_spec() -> None:
    spec = FineTune(
        training={"learning_rate": 1e-4, "epochs": 2},
        method=LoRA(target_modules=("q_proj", "v_proj"), rank=16),
        objective="sft",
        data="rows.jsonl",
        model="acme/small",
    )
    assert dumps(spec, backend={"type": "local", "devices": 2}) == (
        "model: acme/small\n"
        "data: rows.jsonl\n"
        "method:\n"
        "  type: lora\n"
        "  rank: 16\n"
        "  target_modules:\n"
        "    - q_proj\n"
        "    - v_proj\n"
        "objective: sft\n"
        "training:\n"
        "  epochs: 2.0\n"
        "  learning_rate: 0.0001\n"
        "backend:\n"
        "  type: local\n"
        "  devices: 2\n"
    )


def test_a_default_that_is_not_written_stays_a_default() -> None:
    spec = loads(HEAD).spec
    assert spec.model_fields_set == {"model", "data"}
    assert spec.minimal() == {"model": "acme/small", "data": {"source": "rows.jsonl"}}


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("", "local"),
        ("backend: together\n", "together"),
        ("backend: {type: local, devices: 2}\n", {"type": "local", "devices": 2}),
    ],
)
def test_the_backend_is_read_beside_the_spec(text: str, backend: str | dict[str, Any]) -> None:
    assert loads(HEAD + text).backend == backend


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs=3", {"training": {"epochs": 3.0}}),
        ("training.learning_rate=1e-4", {"training": {"learning_rate": 1e-4}}),
        ("training.packing=true", {"training": {"packing": True}}),
        ("training.max_steps=null", {"training": {"max_steps": None}}),
        ("method=qlora", {"method": {"type": "qlora"}}),
        ("method.rank=8", {"method": {"type": "lora", "rank": 8}}),
        ("method={type: qlora, rank: 4}", {"method": {"type": "qlora", "rank": 4}}),
        (
            "method.target_modules=[q_proj, v_proj]",
            {"method": {"type": "lora", "target_modules": ["q_proj", "v_proj"]}},
        ),
        ("data=other.jsonl", {"data": {"source": "other.jsonl"}}),
        ("data.limit=10", {"data": {"source": "rows.jsonl", "limit": 10}}),
        ("validation=0.1", {"validation": 0.1}),
        ("validation.source=v.jsonl", {"validation": {"source": "v.jsonl"}}),
        ("output.name='12'", {"output": {"name": "12"}}),
        ("output.folder=a: b = c", {"output": {"folder": "a: b = c"}}),
        ("extra.local.optim=adafactor", {"extra": {"local": {"optim": "adafactor"}}}),
    ],
)
def test_an_override_sets_one_value(override: str, expected: dict[str, Any]) -> None:
    whole = {"model": "acme/small", "data": {"source": "rows.jsonl"}, **expected}
    assert loads(HEAD, overrides=[override]).spec.minimal() == whole


def test_an_override_goes_into_a_method_written_as_a_word() -> None:
    spec = loads(HEAD + "method: qlora\n", overrides=["method.rank=8"]).spec
    assert spec.minimal()["method"] == {"type": "qlora", "rank": 8}


def test_overrides_are_applied_in_order() -> None:
    spec = loads(HEAD, overrides=["method.rank=8", "method.type=qlora", "method.rank=4"]).spec
    assert spec.minimal()["method"] == {"type": "qlora", "rank": 4}


def test_an_override_replaces_what_the_file_says() -> None:
    text = HEAD + "method: {type: lora, rank: 16}\nbackend: local\n"
    document = loads(text, overrides=["method=full", "backend.devices=2"])
    assert document.spec.minimal()["method"] == {"type": "full"}
    assert document.backend == {"type": "local", "devices": 2}


WRONG_OVERRIDES = {
    "training.epohcs=3": "training.epohcs: unknown key; did you mean 'epochs'?",
    "trainin.epochs=3": "trainin: unknown key; did you mean 'training'?",
    "training.epochs=three": "training.epochs: must be a number or 'auto', not 'three'",
    "training.epochs=.nan": ".nan is not a finite number",
    "model.name=x": "model is 'acme/small', which has no keys; set model itself",
    "training": "write path=value, such as --set training.epochs=3",
    "=3": "write path=value, such as --set training.epochs=3",
    "extra=!!x": "extra: must be a mapping, not '!!x'",
}


@pytest.mark.parametrize(("override", "error"), WRONG_OVERRIDES.items())
def test_a_wrong_override_is_named_as_it_was_typed(override: str, error: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(HEAD, "run.yaml", [override])
    assert str(caught.value) == f"--set {override}: {error}"


def test_an_override_with_an_open_bracket_is_answered_like_yaml() -> None:
    with pytest.raises(SpecError, match=r"^--set extra=\{a: b:1:6: an open bracket; separate"):
        loads(HEAD, "run.yaml", ["extra={a: b"])


def test_a_path_means_the_folder_of_the_file_when_it_exists_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    (folder / "parts").mkdir(parents=True)
    (folder / "base").mkdir()
    for name in ("rows.jsonl", "held.jsonl", "parts/1.jsonl"):
        (folder / name).touch()
    (tmp_path / "here.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    (folder / "run.yaml").write_text(
        "model: ./base\ndata: rows.jsonl\nvalidation: {source: held.jsonl}\n"
    )
    spec = load("project/run.yaml").spec
    assert spec.model == str(Path("project/base"))
    assert spec.minimal()["data"]["source"] == str(Path("project/rows.jsonl"))
    assert spec.minimal()["validation"]["source"] == str(Path("project/held.jsonl"))
    for written, meant in [
        ("here.jsonl", "here.jsonl"),
        ("parts/*.jsonl", "project/parts/*.jsonl"),
        ("acme/dataset", "acme/dataset"),
        ("x" * 5000, "x" * 5000),
        (str(folder / "rows.jsonl"), str(folder / "rows.jsonl")),
    ]:
        (folder / "run.yaml").write_text(f"model: acme/small\ndata: {written}\n")
        assert load("project/run.yaml").spec.data.source == str(Path(meant))


def test_an_override_means_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    (tmp_path / "run.yaml").write_text(HEAD)
    assert load(tmp_path / "run.yaml", ["data=rows.jsonl"]).spec.data.source == "rows.jsonl"


def test_a_file_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "support.yaml").write_text(HEAD)
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "suport.yaml")
    place = tmp_path / "suport.yaml"
    assert str(caught.value) == (
        f"{place}: there is no such file; did you mean {str(tmp_path / 'support.yaml')!r}?"
    )


def test_a_folder_or_bytes_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"model: caf\xe9\n")
    with pytest.raises(SpecError, match=r"latin\.yaml: byte 10 is not UTF-8"):
        load(tmp_path / "latin.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert load(tmp_path / "run.yaml").spec.model == "acme/small"


WRONG_JSON = {
    '{"model": "m",\n\t"trainin": {}, "data": "d"}': (
        "a.json:2: trainin: unknown key; did you mean 'training'?"
    ),
    '{"model": "m",\n}': (
        "a.json:2:1: not JSON: Expecting property name enclosed in double quotes; "
        "check commas and quotes"
    ),
    '{"model": "m",\n "model": "n"}': "a.json:2:2: model: stands twice, first on line 1; keep one",
    '{"model": "m",\n "data": "d", "training": {"learning_rate": NaN}}': (
        "a.json:2: NaN is not a finite number; give one that is"
    ),
}


@pytest.mark.parametrize(("text", "error"), WRONG_JSON.items())
def test_json_is_read_with_the_same_care(text: str, error: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(text, "a.json")
    # CPython words the comma differently from one version to the next.
    told = re.sub("Illegal trailing comma.*?;", _COMMA, str(caught.value))
    assert told.replace("a.json:1:14", "a.json:2:1") == error


_COMMA = "Expecting property name enclosed in double quotes;"


def test_json_pairs_of_surrogates_are_one_sign() -> None:
    text = r'{"model": "m", "data": [{"text": "\ud83d\ude00"}]}'
    assert loads(text, "a.json").spec.minimal()["data"]["source"] == [{"text": "😀"}]
