"""Opening, loading, describing and merging, on models that PEFT and transformers saved."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import change_config, change_weights, peft_model, saved
from tests.tiny import tiny_model
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.provenance import Provenance
from tunekit.errors import AdapterError

IDS = [[1, 70, 71, 72, 2, 30, 40, 50]]


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.tensor(IDS)).logits


def record(folder: Path, base: Path | str) -> None:
    Provenance.of(
        folder,
        run_id="shop-1",
        spec={"model": str(base), "method": {"type": "lora", "rank": 4}},
        request={},
        base_model=str(base),
        versions={"tunekit-sdk": "0.1.0"},
        data={"train": "0123456789abcdef"},
    ).write(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target_modules": "all-linear"},
        {"target_modules": r".*layers\.1.*_proj"},
        {"layers_to_transform": [1]},
        {"use_dora": True},
        {"use_rslora": True},
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"q_proj": 3}},
        {"init_lora_weights": "orthogonal"},
    ],
    ids=str,
)
def test_a_loaded_adapter_gives_the_logits_it_was_saved_with(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    made = peft_model(base, **settings)
    saved(made, tmp_path)
    found = logits(Adapter.open(tmp_path).load())
    assert found.equal(logits(made))
    assert not found.equal(logits(made.unload()))


def test_a_loaded_adapter_is_ready_to_generate_and_closed_to_training(trained: Path) -> None:
    model = Adapter.open(trained).load()
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


def test_a_trainable_adapter_opens_its_own_weights_only(trained: Path) -> None:
    model = Adapter.open(trained).load(trainable=True)
    assert model.training
    open_to_training = {n for n, weight in model.named_parameters() if weight.requires_grad}
    assert open_to_training == {n for n, _ in model.named_parameters() if "lora_" in n}


def test_the_precision_can_be_chosen(trained: Path) -> None:
    import torch

    adapter = Adapter.open(trained)
    assert adapter.load(dtype="bfloat16").dtype == torch.bfloat16
    with pytest.raises(AdapterError, match="'fp8' is none of auto, float32, bfloat16, float16"):
        adapter.load(dtype="fp8")


def test_a_base_with_more_layers_is_refused(tmp_path: Path, trained: Path) -> None:
    change = {"target_modules": ["q_proj", "down_proj"]}
    folder = Path(shutil.copytree(trained, tmp_path / "adapter"))
    change_config(folder, **change)
    deep = tiny_model(tmp_path / "deep", layers=3)
    with pytest.raises(AdapterError, match=r"missing: .*layers\.2\.mlp\.down_proj\.lora_A"):
        Adapter.open(folder).load(base=deep)


def test_a_base_with_fewer_layers_is_refused(tmp_path: Path, folder: Path) -> None:
    change_config(folder, target_modules=["q_proj", "down_proj"])
    flat = tiny_model(tmp_path / "flat", layers=1)
    with pytest.raises(AdapterError, match=r"left over: .*layers\.1\.mlp\.down_proj\.lora_A"):
        Adapter.open(folder).load(base=flat)


def test_a_base_of_another_width_is_refused(tmp_path: Path, trained: Path) -> None:
    wide = tiny_model(tmp_path / "wide", hidden=64)
    with pytest.raises(AdapterError, match=r"of another shape: .* \[4, 64\] instead of \[4, 128\]"):
        Adapter.open(trained).load(base=wide)


def test_a_base_without_such_layers_is_refused(tmp_path: Path, folder: Path, base: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    other = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=2))
    other.save_pretrained(tmp_path / "gpt2")
    change_config(folder, target_modules=["q_proj", "down_proj"])
    with pytest.raises(AdapterError, match="does not fit"):
        Adapter.open(folder).load(base=tmp_path / "gpt2")


def test_a_missing_layer_is_named(folder: Path) -> None:
    gone = "base_model.model.model.layers.1.self_attn.q_proj"
    change_config(folder, target_modules=["q_proj", "down_proj"])
    change_weights(folder, lambda t: [t.pop(f"{gone}.lora_{half}.weight") for half in "AB"])
    with pytest.raises(AdapterError, match=rf"missing: {gone}\.lora_A"):
        Adapter.open(folder).load()


def test_another_base_of_the_same_shape_is_refused(
    tmp_path: Path, folder: Path, base: Path
) -> None:
    record(folder, base)
    twin = tiny_model(tmp_path / "twin", seed=9)
    adapter = Adapter.open(folder)
    with pytest.raises(AdapterError, match=r"twin is not the .* its weights differ"):
        adapter.load(base=twin)
    with pytest.raises(AdapterError, match="its weights differ"):
        adapter.merge(tmp_path / "merged", base=twin)
    adapter.load()


def test_without_a_record_a_base_of_the_same_shape_is_taken(tmp_path: Path, trained: Path) -> None:
    twin = tiny_model(tmp_path / "twin", seed=9)
    assert logits(Adapter.open(trained).load(base=twin)).isfinite().all()


def test_a_base_that_has_moved_is_asked_for(tmp_path: Path, folder: Path, base: Path) -> None:
    change_config(folder, base_model_name_or_path="/gone/model")
    adapter = Adapter.open(folder)
    with pytest.raises(AdapterError, match=r"/gone/model, is not here.*load\(base=FOLDER_OR_ID\)"):
        adapter.load()
    assert logits(adapter.load(base=base)).isfinite().all()


def test_a_base_that_is_no_model_is_named(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(AdapterError, match="the model cannot be loaded"):
        Adapter.open(trained).load(base=tmp_path)


def test_the_embedded_model_is_found_wherever_it_lies(home: Path, folder: Path, base: Path) -> None:
    (home / "models").unlink()
    shutil.copytree(base, home / "models" / "smollm2-135m")
    record(folder, "embedded:smollm2-135m")
    change_config(folder, base_model_name_or_path="/another/machine/models/smollm2-135m")
    model = Adapter.open(folder).load()
    assert model.config.name_or_path == str(home / "models" / "smollm2-135m")


def test_the_tokenizer_is_the_adapter_s_own_or_else_the_base_s(folder: Path, base: Path) -> None:
    own = Adapter.open(folder).tokenizer()
    assert own.chat_template == (base / "chat_template.jinja").read_text()
    (folder / "tokenizer_config.json").unlink()
    (folder / "chat_template.jinja").write_text("another")
    assert Adapter.open(folder).tokenizer().chat_template == own.chat_template


def test_a_description_says_what_it_is_and_where_it_is_from(folder: Path, base: Path) -> None:
    record(folder, base)
    told = Adapter.open(folder).describe()
    # Two layers: q_proj [32, 32] and down_proj [32, 64], each with A [4, in] and B [out, 4].
    assert told.parameters == 2 * (4 * 32 + 32 * 4 + 4 * 64 + 32 * 4)
    assert (told.kind, told.method, told.rank, told.alpha) == ("adapter", "LoRA", 4, 8)
    assert told.targets == ("down_proj", "q_proj")
    assert (told.base, told.run_id, told.tunekit) == (str(base), "shop-1", "0.1.0")
    text = str(Adapter.open(folder))
    assert "LoRA, rank 4, alpha 8" in text
    assert "1,280" in text
    assert "train 0123456789ab" in text
    assert "in run shop-1, tunekit 0.1.0" in text


def test_a_description_is_safe_to_print(folder: Path) -> None:
    change_config(folder, base_model_name_or_path="\x1b]0;title\x07<b>base</b>")
    adapter = Adapter.open(folder)
    assert "\x1b" not in str(adapter)
    assert "<b>" not in adapter._repr_html_()
    assert "&lt;b&gt;base&lt;/b&gt;" in adapter._repr_html_()


def test_a_description_prints_in_a_terminal(folder: Path) -> None:
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as shown:
        console.print(Adapter.open(folder))
    assert "LoRA, rank 4, alpha 8" in shown.get()


@pytest.mark.parametrize(("dtype", "limit"), [("auto", 1e-5), ("bfloat16", 3e-2)])
def test_a_merged_model_answers_like_base_and_adapter(
    tmp_path: Path, trained: Path, dtype: str, limit: float
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = Adapter.open(trained)
    into = adapter.merge(tmp_path / "deep" / "merged", dtype=dtype)
    merged = AutoModelForCausalLM.from_pretrained(into)
    wanted = logits(adapter.load())
    assert (logits(merged).float() - wanted).abs().max() <= limit * wanted.abs().max()
    assert AutoTokenizer.from_pretrained(into).eos_token == "<|im_end|>"
    assert [path.name for path in into.parent.iterdir()] == ["merged"]


def test_a_merged_model_is_a_full_model_that_keeps_its_history(
    tmp_path: Path, folder: Path, base: Path
) -> None:
    record(folder, base)
    merged = Adapter.open(Adapter.open(folder).merge(tmp_path / "merged"))
    assert merged.kind == "model"
    assert merged.describe().method == "lora, merged"
    assert merged.describe().run_id == "shop-1"
    assert merged.load().training is False
    assert merged.tokenizer().eos_token == "<|im_end|>"
    with pytest.raises(AdapterError, match="is a full model already"):
        merged.merge(tmp_path / "again")


def test_a_merge_that_overflows_is_refused_and_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    # 60000 is near the end of float16; the sum with the base lies beyond it.
    def swell(tensors: dict[str, Any]) -> None:
        for weight in tensors.values():
            weight.fill_(200.0)

    change_weights(folder, swell)
    into = tmp_path / "out" / "merged"
    with pytest.raises(AdapterError, match="the adapter cannot be merged"):
        Adapter.open(folder).merge(into, dtype="float16")
    assert list(into.parent.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`:UserWarning")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
def test_a_merge_that_changes_the_answers_is_refused_and_leaves_nothing(
    tmp_path: Path, base: Path
) -> None:
    # The adapter changes the embedding alone; saved as one tensor, the tied head changes too.
    folder = saved(peft_model(base, target_modules=["embed_tokens"]), tmp_path / "adapter")
    into = tmp_path / "out" / "merged"
    with pytest.raises(AdapterError, match="answers otherwise than base and adapter"):
        Adapter.open(folder).merge(into)
    assert list(into.parent.iterdir()) == []


def test_a_merge_fills_a_folder_that_is_empty(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "merged").mkdir()
    assert Adapter.open(Adapter.open(trained).merge(tmp_path / "merged")).kind == "model"


def test_a_merge_does_not_touch_a_folder_that_is_in_use(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(AdapterError, match="is not an empty folder"):
        Adapter.open(trained).merge(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_base_stored_in_four_bits_is_not_merged_into(
    tmp_path: Path, trained: Path, base: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    )
    small = AutoModelForCausalLM.from_pretrained(base, quantization_config=settings)
    small.save_pretrained(tmp_path / "nf4")
    with pytest.raises(AdapterError, match="stored quantized"):
        Adapter.open(trained).merge(tmp_path / "merged", base=tmp_path / "nf4")
    assert not (tmp_path / "merged").exists()


def test_a_full_model_is_opened_and_loaded(base: Path) -> None:
    from transformers import AutoModelForCausalLM

    adapter = Adapter.open(base)
    assert adapter.kind == "model"
    assert logits(adapter.load()).equal(logits(AutoModelForCausalLM.from_pretrained(base)))
    told = adapter.describe()
    assert (told.method, told.rank, told.parameters) == ("full", None, 28_832)


def test_opening_and_describing_load_no_training_library(folder: Path, base: Path) -> None:
    record(folder, base)
    code = (
        "import sys; from tunekit.adapters.adapter import Adapter; print(Adapter.open(sys.argv[1]))"
        "\nprint([n for n in ('torch', 'transformers', 'peft', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_loading_says_nothing_of_kernels_that_nobody_has_asked_for(
    tmp_path: Path, base: Path
) -> None:
    saved(peft_model(base), tmp_path)
    program = f"import tunekit; tunekit.Adapter.open({str(tmp_path)!r}).load()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "kernels" not in done.stderr
