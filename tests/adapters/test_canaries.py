"""Adapters that try to run code: none of it runs, and nothing is asked on the terminal."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.made import change_config, peft_model, saved
from tests.adapters.packed import Entry, packed
from tests.tiny import tiny_model

Plant = Callable[[Path], Any]
ROOT = Path(__file__).parents[2]
CANARY = "canary"
TOKENIZER = "tokenizer_config.json"
SING = f"open({CANARY!r}, 'w').close()\n"
"""Makes a file where the process stands."""


class Bomb:
    """Runs code when it is taken out of a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (SING,)


PICKLE = pickle.dumps(Bomb())


def add(name: str, content: bytes | str = PICKLE) -> Plant:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def instead(name: str) -> Plant:
    """Put a pickle where the weights should be."""

    def plant(folder: Path) -> None:
        (folder / "adapter_model.safetensors").unlink()
        add(name)(folder)

    return plant


def config(**values: Any) -> Plant:
    return lambda folder: change_config(folder, **values)


def settings(name: str, **values: Any) -> Plant:
    def plant(folder: Path) -> None:
        file = folder / name
        content = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(content | values))

    return plant


def base_with(plant: Plant) -> Plant:
    """Let the adapter name a base of its own, which carries the attack."""

    def planted(folder: Path) -> None:
        place = folder.parents[1]
        base = Path(shutil.copytree(place / "base", place / f"{folder.name}-base"))
        plant(base)
        change_config(folder, base_model_name_or_path=str(base))

    return planted


def unsafe_base(base: Path) -> None:
    (base / "model.safetensors").unlink()
    add("pytorch_model.bin")(base)


TEMPLATE = (
    "{{ cycler.__init__.__globals__.os.system('touch canary') }}"
    "{{ ''.__class__.__mro__[1].__subclasses__() }}"
)


def template_in_tokenizer(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    settings(TOKENIZER, chat_template=[{"name": "default", "template": TEMPLATE}])(folder)


AUTO = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}

FOLDERS: dict[str, Plant] = {
    "a pickle in place of the weights": instead("adapter_model.bin"),
    "a pickle under the name of the weights": instead("adapter_model.safetensors"),
    "a pickle beside the weights": add("adapter_model.bin"),
    "arguments of the training": add("training_args.bin"),
    "an optimizer": add("optimizer.pt"),
    "states of random numbers": add("rng_state.pth"),
    "a scheduler": add("scheduler.pkl"),
    "a checkpoint": add("last.ckpt"),
    "an array": add("embeddings.npy"),
    "megatron": config(megatron_config={"a": 1}, megatron_core="megatron.evil"),
    "megatron by another name": config(megatron_config={"a": 1}, megatron_core="megatron_evil"),
    "a library of models": config(
        auto_mapping={"base_model_class": "Model", "parent_library": "evil"}
    ),
    "a library that looks like transformers": config(
        auto_mapping={"parent_library": "transformers.models.llama.modeling_llama.evil"}
    ),
    "a map in the adapter": config(auto_map=AUTO),
    "a method of its own": config(peft_type="EVIL"),
    "a map in the model": settings("config.json", model_type="llama", auto_map=AUTO),
    "trust in the model": settings("config.json", model_type="llama", trust_remote_code=True),
    "a map in the tokenizer": settings(
        TOKENIZER, auto_map={"AutoTokenizer": ["evil.Tok", "evil.Tok"]}
    ),
    "a class of tokenizers": settings(TOKENIZER, tokenizer_class="evil.Tok"),
    "a class of tokenizers by path": settings(TOKENIZER, tokenizer_class="../megatron/evil"),
    "a processor": settings(TOKENIZER, processor_class="evil.Processor"),
    "a way to generate": settings("generation_config.json", custom_generate="evil"),
    "a kernel": settings("config.json", _attn_implementation_internal="evil/kernel"),
    "a kernel by its public name": settings("config.json", attn_implementation="evil/kernel"),
    "a pipeline": settings("config.json", custom_pipelines={"x": {"impl": "evil.Pipe"}}),
    "a model's code": add("modeling_evil.py", SING),
    "a package": add("__init__.py", SING),
    "what Python runs at its start": add("sitecustomize.py", SING),
    "a library": add("kernel.so"),
    "a template": add("chat_template.jinja", TEMPLATE),
    "a template in the tokenizer": template_in_tokenizer,
    "a base with a map": base_with(settings("config.json", model_type="evil", auto_map=AUTO)),
    "a base with code": base_with(
        lambda base: (settings("config.json", auto_map=AUTO)(base), add("evil.py", SING)(base))
    ),
    "a base with a tokenizer's code": base_with(
        settings(TOKENIZER, auto_map={"AutoTokenizer": ["evil.Tok", "evil.Tok"]})
    ),
    "a base that is a pickle": base_with(unsafe_base),
    "a pattern without end": config(target_modules="(.*.*)*x"),
}
SOUND = "sound"

OPEN = """
import io, json, sys, time, warnings
from pathlib import Path
from tunekit.adapters.adapter import Adapter
from tunekit.adapters.archive import unpack
from tunekit.errors import AdapterError

class Asked(io.StringIO):
    def readline(self, *_): print("STDIN WAS READ"); return "y"
    read = readline

warnings.simplefilter("ignore")
sys.stdin = Asked()
sys.path.insert(0, "")
told = {}
for place in sorted(Path("cases").iterdir()):
    start = time.monotonic()
    try:
        folder = place
        if place.is_file():
            folder = Path("out") / place.name
            unpack(place, folder)
        adapter = Adapter.open(folder)
        str(adapter)
        text = "loaded"
        for use in (adapter.load, adapter.tokenizer):
            try:
                found = use()
                found.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
            except AttributeError: pass
            except Exception as error: text = f"{type(error).__name__}: {error}"
    except AdapterError as error:
        text = f"AdapterError: {error}"
    told[place.name] = text
    if Path("canary").exists():
        told[place.name] = "SANG"
        Path("canary").unlink()
    assert time.monotonic() - start < 30
Path("told.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What became of each folder, opened one after the other in a process that stands among evil.

    It reads from a terminal that nobody sits at, and its modules `evil` and `megatron` sing.
    """
    place = tmp_path_factory.mktemp("canaries")
    cases = place / "cases"
    cases.mkdir()
    (place / "out").mkdir()
    made = _made(tmp_path_factory.mktemp("made"), place)
    for name, plant in FOLDERS.items():
        folder = cases / name
        shutil.copytree(made, folder)
        plant(folder)
        for container in ("tar.gz", "zip"):
            entries = [Entry(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
            (cases / f"{name}.{container}").write_bytes(packed(entries, container))
    _plant_modules(place)
    done = subprocess.run(
        [sys.executable, "-c", OPEN],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "STDIN WAS READ" not in done.stdout
    yield json.loads((place / "told.json").read_text())


def _made(folder: Path, place: Path) -> Path:
    """Make a sound adapter with its tokenizer, on a base in `place`."""
    base = tiny_model(place / "base")
    saved(peft_model(base), folder)
    for name in ("tokenizer.json", TOKENIZER, "chat_template.jinja"):
        shutil.copy(base / name, folder)
    shutil.copytree(folder, place / "cases" / SOUND)
    return folder


def _plant_modules(place: Path) -> None:
    for module in ("evil", "megatron_evil"):
        (place / f"{module}.py").write_text(SING)
    (place / "megatron").mkdir()
    for name in ("__init__", "evil", "core"):
        (place / "megatron" / f"{name}.py").write_text(SING)


def test_the_canaries_sing_where_nobody_stops_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(PICKLE)
    assert (tmp_path / CANARY).exists()
    (tmp_path / CANARY).unlink()
    _plant_modules(tmp_path)
    subprocess.run([sys.executable, "-c", "import megatron.evil"], check=True)
    assert (tmp_path / CANARY).exists()


@pytest.mark.slow
def test_no_code_of_an_adapter_runs(told: dict[str, str]) -> None:
    assert len(FOLDERS) >= 20
    assert len(told) == 3 * len(FOLDERS) + 1
    assert [name for name, text in told.items() if text == "SANG"] == []


@pytest.mark.slow
def test_the_adapter_without_a_canary_loads_in_the_same_place(told: dict[str, str]) -> None:
    assert told[SOUND] == "loaded"


HARMLESS = (
    *("a class of tokenizers", "a class of tokenizers by path", "a processor"),
    *("a pattern without end", "a base with a tokenizer's code", "a base with code"),
)
"""What is not looked at, or is known to transformers by its type: the adapter loads without it."""


@pytest.mark.slow
def test_what_could_run_code_is_refused_and_not_passed_over(told: dict[str, str]) -> None:
    taken = {name for name in FOLDERS if told[name] == "loaded"}
    assert taken <= set(HARMLESS)
    errors = {told[name].partition(":")[0] for name in FOLDERS if name not in taken}
    assert errors <= {"AdapterError", "SecurityError"}
