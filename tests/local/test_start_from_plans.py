"""What a plan makes of an adapter to go on from: its method, or the reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.planning.setting import CPU, SMOL, rows
from tunekit.backends.backend import Files
from tunekit.errors import SpecError, UnsupportedError
from tunekit.testing.fresh import python
from tunekit.testing.weights import write_adapter, write_model, write_safetensors

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
KINDS = {"dpo": "preference", "reward": "preference"}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A LoRA of rank 8 and alpha 16 on q_proj."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    write_adapter(folder, model="acme/model", rank=8, alpha=16.0)
    return folder


def of_type(folder: Path, kind: str, tensors: dict[str, tuple[int, ...]], **config: Any) -> Path:
    """Write an adapter of another method by hand."""
    folder.mkdir(exist_ok=True)
    content = {"peft_type": kind, "base_model_name_or_path": "acme/model", **config}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


def ia3(folder: Path) -> Path:
    return of_type(folder, "IA3", {f"{LAYER}.ia3_l": (4, 1)}, target_modules=["q_proj"])


def planned(start: str | Path, *, engine: Any = "peft", **more: Any) -> tk.Plan:
    spec = tk.FineTune(
        **{"model": "acme/model", "data": "rows.jsonl", "start_from": str(start), **more}
    )
    kind: Any = KINDS.get(spec.objective.type, "conversation")
    return tk.Local(engine=engine, machine=CPU).plan(spec, SMOL, rows(kind=kind))


def outcomes(plan: tk.Plan) -> dict[str, tuple[str, Any]]:
    """Give what became of start_from and of the fields of the method."""
    return {
        change.field: (change.outcome, change.used)
        for change in plan.changes
        if change.field.startswith(("method.", "start_from"))
    }


def refused(plan: tk.Plan) -> dict[str, str]:
    return {change.field: change.reason for change in plan.unsupported}


def test_what_the_spec_leaves_open_is_as_the_adapter_has_it(adapter: Path) -> None:
    plan = planned(adapter)

    assert outcomes(plan) == {
        "method.rank": ("adapted", 8),
        "method.alpha": ("adapted", 16.0),
        "method.target_modules": ("adapted", ["q_proj"]),
    }
    peft = plan.request["peft"]
    assert (peft["r"], peft["lora_alpha"], peft["target_modules"]) == (8, 16.0, ["q_proj"])
    assert plan.request["start"]["folder"] == str(adapter)
    assert set(plan.request["start"]["sha256"]) == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_what_the_spec_says_as_the_adapter_has_it_is_no_change(adapter: Path) -> None:
    method = {"type": "lora", "rank": 8, "alpha": 16.0, "target_modules": ["q_proj"]}

    plan = planned(adapter, method={**method, "dropout": 0.1})

    assert outcomes(plan) == {}
    assert plan.request["peft"]["lora_dropout"] == 0.1


def test_a_wish_for_something_else_is_refused_with_what_mends_it(adapter: Path) -> None:
    method = {
        "type": "lora",
        "rank": 16,
        "alpha": 32.0,
        "use_rslora": True,
        "target_modules": ["v_proj"],
    }
    plan = planned(adapter, method=method)

    assert refused(plan) == {
        "method.rank": "the adapter in start_from has 8: --set method.rank=8",
        "method.alpha": "the adapter in start_from has 16: --set method.alpha=16",
        "method.use_rslora": "the adapter in start_from has false: --set method.use_rslora=false",
        "method.target_modules": "the adapter in start_from has [q_proj]: "
        "--set method.target_modules=[q_proj]",
    }
    mended = {"rank": 8, "alpha": 16.0, "use_rslora": False, "target_modules": ["q_proj"]}
    assert not planned(adapter, method={"type": "lora", **mended}).unsupported
    # Going on without the wishes goes on from the adapter.
    assert plan.request["peft"]["r"] == 8
    with pytest.raises(UnsupportedError):
        plan.require()


def test_a_method_that_nobody_chose_is_that_of_the_adapter(tmp_path: Path) -> None:
    plan = planned(ia3(tmp_path / "adapter"))

    assert outcomes(plan)["method.type"] == ("adapted", "ia3")
    assert plan.request["peft"]["peft_type"] == "IA3"


def test_another_method_is_refused_by_name(tmp_path: Path, adapter: Path) -> None:
    other = planned(ia3(tmp_path / "other"), method="lora")
    full = planned(adapter, method="full")

    assert refused(other) == {
        "method.type": "start_from holds an adapter of (IA)^3: --set method=ia3"
    }
    assert "start" not in other.request
    assert "merge it (run.adapter.merge)" in refused(full)["start_from"]


def test_qlora_goes_on_from_a_lora(adapter: Path) -> None:
    plan = planned(adapter, method="qlora")

    assert not plan.unsupported
    assert plan.request["model"]["quantization"]["bnb_4bit_quant_type"] == "nf4"
    assert plan.request["start"]["folder"] == str(adapter)


@pytest.mark.parametrize("init", ["pissa", "olora", "eva"])
def test_an_init_that_looks_at_the_base_or_the_rows_is_refused(adapter: Path, init: str) -> None:
    reason = refused(planned(adapter, method=init))["method.init"]

    assert init in reason
    assert reason.endswith("--set method=lora")
    assert not planned(adapter, method="lora").unsupported


def test_another_init_does_not_matter_and_is_listed(adapter: Path) -> None:
    plan = planned(adapter, method={"type": "lora", "init": "gaussian"})

    assert outcomes(plan)["method.init"] == ("dropped", None)
    assert plan.request["peft"]["init_lora_weights"] is True


def test_a_full_model_is_named_as_the_model(tmp_path: Path) -> None:
    write_model(tmp_path)

    reason = refused(planned(tmp_path))["start_from"]

    assert "holds a full model" in reason
    assert f"--set model={tmp_path} --set start_from=null" in reason


def test_what_lies_at_a_service_is_brought_home_first() -> None:
    reason = refused(planned("together:ft-12ab"))["start_from"]

    assert "`tunekit attach together:ft-12ab`" in reason
    assert "`tunekit wait RUN`" in reason


def test_unsloth_leaves_it_to_the_other_engine(adapter: Path) -> None:
    assert refused(planned(adapter, engine="unsloth"))["start_from"].endswith("engine: peft")


def test_a_folder_that_is_no_adapter_says_what_is_wrong(tmp_path: Path, adapter: Path) -> None:
    (adapter / "more.bin").write_bytes(b"pickled")

    assert "more.bin" in refused(planned(adapter))["start_from"]
    assert "there is no such folder" in refused(planned(tmp_path / "nowhere"))["start_from"]


def test_an_adapter_of_another_model_is_refused(adapter: Path) -> None:
    reason = refused(planned(adapter, model="acme/other"))["start_from"]

    assert reason == f"{adapter}: was trained on acme/model, and model is acme/other"


def test_an_adapter_whose_training_cannot_go_on_says_why(tmp_path: Path) -> None:
    tokens = of_type(
        tmp_path / "tokens", "P_TUNING", {"prompt_embeddings": (3, 4)}, num_virtual_tokens=3
    )
    ranks = of_type(
        tmp_path / "ranks",
        "ADALORA",
        {f"{LAYER}.lora_A": (2, 4), f"{LAYER}.lora_B": (4, 2), f"{LAYER}.lora_E": (2, 1)},
        init_r=2,
        target_r=1,
        lora_alpha=8.0,
        target_modules=["q_proj"],
    )

    assert "without the network that made them" in refused(planned(tokens))["start_from"]
    assert "AdaLoRA has cut its ranks" in refused(planned(ranks))["start_from"]


def test_an_adapter_with_whole_layers_is_merged_first(adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(
        json.dumps(config | {"modules_to_save": ["lm_head"]})
    )

    assert "holds whole layers (lm_head); merge it" in refused(planned(adapter))["start_from"]


def test_a_model_of_scores_has_a_head_and_a_model_of_texts_has_none(adapter: Path) -> None:
    assert "has no head for scores" in refused(planned(adapter, objective="reward"))["start_from"]


def test_virtual_tokens_that_go_on_are_compared_with_themselves(tmp_path: Path) -> None:
    folder = of_type(tmp_path, "PROMPT_TUNING", {"prompt_embeddings": (3, 4)}, num_virtual_tokens=3)
    plan = planned(folder, objective="dpo", method={"type": "prompt", "init_text": "Be short."})

    assert outcomes(plan)["method.num_virtual_tokens"] == ("adapted", 3)
    assert outcomes(plan)["method.init_text"] == ("dropped", None)
    assert plan.request["start"]["reference"] is True
    assert plan.request["method"] == {}
    assert not any("no identity at the start" in warning for warning in plan.warnings)


def test_other_bytes_than_the_plan_was_made_with_start_nothing(
    tmp_path: Path, adapter: Path
) -> None:
    plan = planned(adapter)
    write_adapter(adapter, model="acme/model", rank=4)
    job = tmp_path / "job"
    job.mkdir()
    train = tmp_path / "train.jsonl"
    train.write_text("{}\n")
    files = Files(train=train, validation=None, train_sha256="", validation_sha256=None, job=job)

    with pytest.raises(SpecError, match=r"adapter_config\.json has changed since the plan"):
        tk.Local(engine="peft", machine=CPU).submit(plan, files, "a-run")

    assert not (job / "request.json").exists()


def test_a_plan_that_opens_an_adapter_loads_no_training_library(adapter: Path) -> None:
    script = (
        "import sys, tunekit as tk\n"
        "from tunekit.backends.local.warm_start.begin import begin\n"
        f"spec = tk.FineTune(model='acme/model', data='rows.jsonl', start_from={str(adapter)!r})\n"
        "print(begin(spec, 'peft').spec.method.rank, *{'torch', 'peft'} & set(sys.modules))"
    )
    assert python(script).strip() == "8"
