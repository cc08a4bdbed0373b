"""The record beside an adapter, and the fingerprint of its base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.adapters.made import change_config, peft_model, saved
from tests.tiny import tiny_model
from tunekit.adapters import origin
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.provenance import Provenance
from tunekit.errors import AdapterError


def made(folder: Path, base: str) -> Provenance:
    return Provenance.of(
        folder,
        run_id="a-run",
        spec={"model": base, "training": {"epochs": 1}},
        request={"trainer": {"learning_rate": 2e-4}},
        base_model=base,
        versions={"tunekit-sdk": "0.1.0", "torch": "2.13.0"},
        data={"train": "ab" * 32},
    )


def test_a_record_is_read_back_as_it_was_written(folder: Path, base: Path) -> None:
    wanted = made(folder, str(base))
    wanted.write(folder)
    assert Provenance.read(folder) == wanted
    assert wanted.tunekit == "0.1.0"
    assert Adapter.open(folder).provenance == wanted


def test_an_adapter_made_elsewhere_has_no_record(folder: Path) -> None:
    assert Provenance.read(folder) is None


def test_a_damaged_record_says_what_to_do(folder: Path) -> None:
    (folder / "tunekit.json").write_text('{"run_id": 1')
    with pytest.raises(AdapterError, match=r"tunekit\.json: is damaged .* remove it"):
        Adapter.open(folder)


def test_keys_of_a_later_version_are_passed_over(folder: Path, base: Path) -> None:
    wanted = made(folder, str(base))
    content = json.loads(wanted.model_dump_json()) | {"carbon": 3}
    (folder / "tunekit.json").write_text(json.dumps(content))
    assert Provenance.read(folder) == wanted


def test_copies_of_a_model_have_one_fingerprint(tmp_path: Path, base: Path) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "copy"))
    assert origin.fingerprint(copy) == origin.fingerprint(base) is not None


def test_a_copy_with_another_name_or_note_in_its_config_is_the_same(
    tmp_path: Path, base: Path
) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"transformers_version": "9.9"}))
    assert origin.fingerprint(copy) == origin.fingerprint(base)


def test_other_weights_have_another_fingerprint(tmp_path: Path, base: Path) -> None:
    twin = tiny_model(tmp_path / "twin", seed=9)
    merged = peft_model(base).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    prints = [origin.fingerprint(folder) for folder in (base, twin, tmp_path / "merged")]
    assert len(set(prints)) == 3


def test_the_shards_do_not_change_the_fingerprint(tmp_path: Path, base: Path) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert origin.fingerprint(tmp_path) == origin.fingerprint(base)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_model_that_cannot_be_read_has_no_fingerprint(model_folder: Path, name: str) -> None:
    (model_folder / name).write_text("<html>")
    assert origin.fingerprint(model_folder) is None
    (model_folder / name).unlink()
    assert origin.fingerprint(model_folder) is None


def test_a_base_out_of_reach_leaves_the_fingerprint_open(folder: Path) -> None:
    change_config(folder, base_model_name_or_path="org/model")
    assert made(folder, "org/model").base_fingerprint is None


def test_the_base_that_the_config_names_is_used_when_the_spec_s_is_out_of_reach(
    folder: Path, base: Path
) -> None:
    assert made(folder, "org/model").base_fingerprint == origin.fingerprint(base)


def test_a_hub_id_is_found_in_the_hub_s_cache(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert origin.find("org/model") is None
    place = tmp_path / "models--org--model"
    snapshot = Path(shutil.copytree(base, place / "snapshots" / "c0ffee"))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("c0ffee")
    assert origin.find("org/model") == snapshot


def test_finding_the_embedded_model_converts_nothing(home: Path, base: Path) -> None:
    (home / "models").unlink()
    assert origin.find("embedded:smollm2-135m") is None
    shutil.copytree(base, home / "models" / "smollm2-135m")
    assert origin.find("embedded:smollm2-135m") == home / "models" / "smollm2-135m"


def test_a_full_model_gets_a_record_too(tmp_path: Path, base: Path) -> None:
    folder = saved(peft_model(base).merge_and_unload(), tmp_path / "full")
    made(folder, str(base)).write(folder)
    assert Adapter.open(folder).describe().run_id == "a-run"
