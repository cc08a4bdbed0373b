"""Every method of PEFT learns, begins as the base, and loads to what was trained."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

import tunekit as tk
from tests.local.objective_rows import PAIRS
from tests.local.specs import chats, losses, small
from tests.tiny import tiny_model
from tunekit.backends.local.job import Job
from tunekit.backends.local.methods import loftq
from tunekit.backends.local.worker import main

pytestmark = pytest.mark.slow

HERE = tk.Local(in_process=True)
EVALUATION = {"generations": 1, "examples": 1, "max_new_tokens": 2}
METHODS: list[dict[str, Any]] = [
    {"type": "full", "last_layers": 1},
    {"type": "lora", "rank": 4, "use_rslora": True},
    {"type": "lora", "rank": 4, "use_dora": True},
    {"type": "lora", "rank": 4, "lr_ratio": 16.0},
    {"type": "lora", "rank": 4, "init": "gaussian"},
    {"type": "lora", "rank": 4, "init": "orthogonal"},
    {"type": "lora", "rank": 4, "init": "eva"},
    {"type": "lora", "rank": 4, "init": "pissa"},
    {"type": "lora", "rank": 4, "init": "olora", "use_rslora": True},
    {"type": "adalora", "rank": 4},
    {"type": "ia3"},
    {
        "type": "ia3",
        "target_modules": ["k_proj", "down_proj"],
        "feedforward_modules": ["down_proj"],
    },
    {"type": "loha", "rank": 4},
    {"type": "lokr", "rank": 2, "decompose_both": True, "decompose_factor": 4},
    {"type": "oft", "block_size": 8},
    {"type": "boft"},
    {"type": "vera", "rank": 16},
    {"type": "lntuning"},
    {"type": "prefix", "num_virtual_tokens": 4},
    {"type": "prompt", "num_virtual_tokens": 4},
    {"type": "prompt", "num_virtual_tokens": 4, "init_text": "stone light"},
    {"type": "ptuning", "num_virtual_tokens": 4},
    {"type": "ptuning", "num_virtual_tokens": 4, "encoder": "lstm", "encoder_hidden_size": 8},
    {"type": "peft", "config": {"peft_type": "miss", "r": 4, "target_modules": "all-linear"}},
]


RARER = ("ia3", "loha", "lokr", "boft", "vera", "full")


def named(method: dict[str, Any]) -> str:
    rest = [f"{key}={value}" for key, value in method.items() if key not in ("type", "rank")]
    return "-".join([method["type"], *rest])[:50]


def cases(methods: list[dict[str, Any]]) -> list[Any]:
    """Leave to `make test-all` what is a variant of another case, or seldom used."""
    seen: set[Any] = set(RARER)
    found: list[Any] = []
    for method in methods:
        kind = (method["type"], "init" in method and method["type"] == "lora")
        marks = [pytest.mark.long] if method["type"] in seen or kind in seen else []
        seen.add(kind)
        found.append(pytest.param(method, marks=marks, id=named(method)))
    return found


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model for all runs."""
    folder = tmp_path_factory.mktemp("methods")
    tiny_model(folder / "model")
    return folder


def trained(room: Path, method: dict[str, Any] | str, **changes: Any) -> tk.Run:
    training = {"max_steps": 8, "learning_rate": 1e-2, **changes.pop("training", {})}
    settings = {
        "data": chats(40),
        "validation": 0.2,
        "evaluation": EVALUATION,
        **changes,
    }
    return tk.run(small(room, method=method, training=training, **settings), HERE, progress=False)


def held_out_loss(run: tk.Run, model: Any) -> float:
    from tunekit.backends.local.held_out import HeldOut
    from tunekit.evaluation.measure import measure

    request = {**run.plan.request, "validation": str(run.folder / "data" / "validation.jsonl")}
    held_out = HeldOut.read(request, run.adapter.tokenizer())
    assert held_out is not None
    found = measure(
        model, held_out.tokenizer, tokens=held_out.tokens, prompts=[], max_new_tokens=1
    ).loss
    assert found is not None
    return found


def base_of(room: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(room / "model")


@pytest.mark.parametrize("method", cases(METHODS))
def test_a_method_begins_as_the_base_learns_and_loads_to_what_was_trained(
    room: Path, method: dict[str, Any]
) -> None:
    run = trained(room, method)

    found = run.evaluation
    assert found is not None and found.base.loss is not None and found.tuned.loss is not None
    assert found.base.loss == pytest.approx(held_out_loss(run, base_of(room)), abs=2e-5)
    assert found.tuned.loss < found.base.loss
    loaded = run.adapter.load()
    assert held_out_loss(run, loaded) == pytest.approx(found.tuned.loss, abs=2e-5)


@pytest.mark.long
@pytest.mark.parametrize("quantization", ["nf4", "fp4", "int8"])
def test_an_adapter_over_a_quantised_base_learns_and_loads(room: Path, quantization: str) -> None:
    method = {"type": "qlora", "rank": 4, "quantization": quantization, "use_rslora": True}

    run = trained(room, method)

    assert run.evaluation is not None
    assert losses(run)[-1] < losses(run)[0]
    assert type(run.adapter.load()).__name__.startswith("Peft")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT asks what transformers has renamed
def test_loftq_begins_with_the_best_approximation_of_what_rounding_lost(room: Path) -> None:
    """What is left is what Eckart and Young say: the singular values beyond the rank."""
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    rounded = AutoModelForCausalLM.from_pretrained(
        room / "model",
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    )
    config = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(rounded, config)

    loftq.begin(model, str(room / "model"))

    for name, weight in base_of(room).named_parameters():
        layer = model.get_base_model().get_submodule(name.rpartition(".")[0])
        if not hasattr(layer, "lora_A"):
            continue
        lost = weight - dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
        made = 4 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        beyond = torch.linalg.svdvals(lost)[8:].square().sum().sqrt()
        assert (lost - made).norm().item() == pytest.approx(beyond.item(), rel=1e-4)


def test_loftq_is_saved_without_what_it_begins_with(room: Path) -> None:
    run = trained(room, {"type": "qlora", "rank": 4, "init": "loftq"})

    assert run.adapter.describe().rank == 8
    assert run.evaluation is not None and run.evaluation.tuned.loss is not None
    # Over the base as it was before rounding, the answers are nearly those of the training.
    loaded = held_out_loss(run, run.adapter.load())
    assert loaded == pytest.approx(run.evaluation.tuned.loss, abs=0.05)


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_an_adapter_that_rewrote_the_base_is_a_lora_of_twice_the_rank(
    room: Path, init: str
) -> None:
    run = trained(room, {"type": "lora", "rank": 4, "init": init}, training={"max_steps": 2})

    about = run.adapter.describe()
    assert (about.method, about.rank) == ("LoRA", 8)
    said = [event.message for event in run.events(follow=False) if event.kind == "log"]
    assert f"{init}: the adapter is saved without what it begins with, at twice the rank" in said


def test_an_untouched_block_stays_as_it_was_when_the_last_one_learns(room: Path) -> None:
    run = trained(room, {"type": "full", "last_layers": 1}, training={"max_steps": 2})

    after, before = run.adapter.load().state_dict(), base_of(room).state_dict()
    changed = {name for name, weight in before.items() if not weight.equal(after[name])}
    assert changed and all(name.startswith("model.layers.1.") for name in changed)


def test_b_learns_sixteen_times_as_fast_in_lora_plus(room: Path) -> None:
    """Adam's first step moves every weight by its rate, so the moves tell the rates."""
    one = {"max_steps": 1, "learning_rate": 1e-4, "warmup_ratio": 0.0}
    run = trained(room, {"type": "lora", "rank": 4, "lr_ratio": 16.0}, training=one)
    same = trained(room, {"type": "lora", "rank": 4}, training=one)

    moved, usual = (_largest_b(each) for each in (run, same))
    assert moved == pytest.approx(16 * usual, rel=1e-3)


def _largest_b(run: tk.Run) -> float:
    from safetensors.torch import load_file

    weights = load_file(run.adapter.folder / "adapter_model.safetensors")
    return max(float(w.abs().max()) for name, w in weights.items() if "lora_B" in name)


def test_adalora_adds_its_regulariser_and_keeps_the_ranks_of_its_budget(room: Path) -> None:
    """PEFT leaves the term to the model's own loss, which TRL does not use."""
    import json

    method = {"type": "adalora", "rank": 4, "initial_rank": 6, "orth_reg_weight": 0.25}
    run = trained(room, method, training={"max_steps": 10})
    plain = trained(room, {**method, "orth_reg_weight": 0.0}, training={"max_steps": 3})

    # A new P is [6, in] of normal numbers with deviation 0.02: |P P' - I| is near sqrt(6).
    assert losses(run)[0] - losses(plain)[0] == pytest.approx(0.25 * math.sqrt(6), rel=0.02)
    config = json.loads((run.adapter.folder / "adapter_config.json").read_text())
    ranks = [sum(mask) for mask in config["rank_pattern"].values()]
    assert len(ranks) == 14
    assert sum(ranks) == 4 * 14
    assert len(set(ranks)) > 1


RESUMED = [
    {"type": "adalora", "rank": 2, "initial_rank": 4, "prune_start": 0.0, "prune_end": 0.5},
    {"type": "lora", "rank": 4, "init": "pissa"},
    {"type": "lora", "rank": 4, "init": "eva"},
    {"type": "lora", "rank": 4, "lr_ratio": 4.0},
    {"type": "prefix", "num_virtual_tokens": 4},
    {"type": "ptuning", "num_virtual_tokens": 4},
]


@pytest.mark.parametrize("method", cases(RESUMED))
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    room: Path, tmp_path: Path, method: dict[str, Any]
) -> None:
    run = trained(
        room,
        method,
        evaluation={"enabled": False},
        validation=None,
        training={"max_steps": 6, "checkpoint_steps": 3},
    )
    whole = Job(run.folder / "job")
    again = Job(tmp_path / "job")
    shutil.copytree(whole.path, again.path)
    shutil.rmtree(again.path / "adapter")
    shutil.rmtree(again.checkpoints / "checkpoint-6")
    again.reopen()

    main(again.path)

    assert again.read("result") == {"state": "succeeded"}
    weights = "adapter_model.safetensors"
    assert (again.adapter / weights).read_bytes() == (whole.adapter / weights).read_bytes()
    assert (again.adapter / "adapter_config.json").read_bytes() == (
        whole.adapter / "adapter_config.json"
    ).read_bytes()


def test_what_an_adapter_begins_with_must_be_the_same_after_a_restart(
    room: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    run = trained(room, {"type": "lora", "rank": 4, "init": "pissa"}, training={"max_steps": 4})
    again = Job(tmp_path / "job")
    shutil.copytree(run.folder / "job", again.path)
    file = again.path / "initial" / "adapter_model.safetensors"
    save_file({name: -weight for name, weight in load_file(file).items()}, file)
    again.reopen()

    main(again.path)

    result = again.read("result") or {}
    assert result["state"] == "failed"
    assert "begins otherwise than before the restart" in result["reason"]


@pytest.mark.long
@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_dpo_of_virtual_tokens_measures_against_the_base_without_them(
    room: Path, method: str
) -> None:
    """The policy is no copy of the reference at the start, so the first loss is not log 2."""
    run = trained(
        room,
        {"type": method, "num_virtual_tokens": 4, "init": "random"},
        data=PAIRS,
        objective="dpo",
        validation=None,
        evaluation={"enabled": False},
        training={"max_steps": 2},
    )
    assert losses(run)[0] != pytest.approx(math.log(2), abs=1e-6)
    assert any("no identity at the start" in warning for warning in run.plan.warnings)
