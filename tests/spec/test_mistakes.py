"""Mistakes people make in a spec file: each error names the place and the fix."""

from __future__ import annotations

from dataclasses import dataclass

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from tunekit.errors import SpecError
from tunekit.spec.document import loads, schema

HEAD = "model: acme/small\ndata: rows.jsonl\n"
METHODS = (
    "full, lora, qlora, adalora, ia3, loha, lokr, oft, boft, vera, prefix, prompt, ptuning, "
    "lntuning, bottleneck, peft"
)


@dataclass(frozen=True)
class Mistake:
    """A file, what is said of it, and whether a JSON Schema can see it too."""

    text: str
    error: str
    schema: bool = True


def body(text: str, error: str, *, schema: bool = True) -> Mistake:
    """Put the mistake under a correct head of two lines."""
    return Mistake(HEAD + text, error, schema)


MISTAKES = {
    "typo at the top": Mistake(
        "modle: acme/small\ndata: rows.jsonl\n",
        "2 problems in the spec:\n"
        "  - run.yaml:1: model: is required\n"
        "  - run.yaml:1: modle: unknown key; did you mean 'model'?",
    ),
    "typo in data": Mistake(
        "model: acme/small\ndata:\n  source: rows.jsonl\n  formt: text\n",
        "run.yaml:4: data.formt: unknown key; did you mean 'format'?",
    ),
    "typo in method": body(
        "method:\n  type: lora\n  droput: 0.1\n",
        "run.yaml:5: method.droput: unknown key; did you mean 'dropout'?",
    ),
    "typo in objective": body(
        "objective:\n  type: dpo\n  betta: 0.1\n",
        "run.yaml:5: objective.betta: unknown key; did you mean 'beta'?",
    ),
    "typo in training": body(
        "training:\n  epochs: 2\n  learnign_rate: 1e-4\n",
        "run.yaml:5: training.learnign_rate: unknown key; did you mean 'learning_rate'?",
    ),
    "typo in validation": body(
        "validation:\n  sauce: held-out.jsonl\n",
        "2 problems in the spec:\n"
        "  - run.yaml:3: validation.source: is required\n"
        "  - run.yaml:4: validation.sauce: unknown key; did you mean 'source'?",
    ),
    "typo in evaluation": body(
        "evaluation: {generation: 3}\n",
        "run.yaml:3: evaluation.generation: unknown key; did you mean 'generations'?",
    ),
    "typo in output": body(
        "output: {nane: support}\n",
        "run.yaml:3: output.nane: unknown key; did you mean 'name'?",
    ),
    "typo in a name": body(
        "method: lroa\n", "run.yaml:3: method: unknown type 'lroa'; did you mean 'lora'?"
    ),
    "a method that is not there": body(
        "method: {type: reinforce}\n",
        f"run.yaml:3: method: unknown type 'reinforce'; known: {METHODS}",
    ),
    "a method without its type": body(
        "method: {rank: 8}\n",
        f"run.yaml:3: method: says no type; write method: {{type: lora, ...}}, one of {METHODS}",
    ),
    "a rate that explodes": body(
        "training:\n  learning_rate: 1e4\n",
        "run.yaml:4: training.learning_rate: 10000 is larger than any rate that trains; "
        "2e-4 is usual for LoRA",
    ),
    "warm-up in steps": body(
        "training:\n  warmup_ratio: 100\n",
        "run.yaml:4: training.warmup_ratio: is a share of all steps, below 1: "
        "for 100 steps out of N write what 100 / N comes to, such as 0.03",
    ),
    "validation in percent": body(
        "validation: 20\n",
        "run.yaml:3: validation: is a share of the rows, below 1: write 0.2 for 20 %; "
        "for held-out rows of their own give a file",
    ),
    "dropout in percent": body(
        "method: {type: lora, dropout: 5}\n",
        "run.yaml:3: method.dropout: is a share, below 1: write 0.05 for 5 %",
    ),
    "steps for epochs": body(
        "training: {epochs: 5000}\n",
        "run.yaml:3: training.epochs: counts passes over the data; "
        "for 5000 optimizer steps set max_steps",
    ),
    "a weight decay that erases": body(
        "training: {weight_decay: 50}\n",
        "run.yaml:3: training.weight_decay: 50 would shrink the weights to nothing; "
        "0.01 to 0.1 is usual",
    ),
    "a number in quotes": body(
        "training:\n  learning_rate: '1e-4'\n",
        "run.yaml:4: training.learning_rate: must be a number or 'auto' or 'sweep', not '1e-4', "
        "which is text: write a number without quotes, separators or units",
    ),
    "a number with a unit": body(
        "training: {max_length: 2k}\n",
        "run.yaml:3: training.max_length: must be a whole number or 'auto', not '2k', "
        "which is text: write a number without quotes, separators or units",
    ),
    "half a row": body(
        "training: {batch_size: 2.5}\n",
        "run.yaml:3: training.batch_size: must be a whole number or 'auto', not 2.5",
    ),
    "a negative count": body(
        "training: {epochs: -1}\n",
        "run.yaml:3: training.epochs: must be greater than 0 or 'auto', not -1",
    ),
    "yes for true": body(
        "training: {packing: yes}\n",
        "run.yaml:3: training.packing: must be true or false, not 'yes'",
        # To the YAML 1.1 of most editors' schema checkers this is a boolean.
        schema=False,
    ),
    "another tool's dtype": body(
        "training: {dtype: bf16}\n",
        "run.yaml:3: training.dtype: must be 'float32' or 'bfloat16' or 'auto', not 'bf16'",
    ),
    "PEFT's word for rank": body(
        "lora_r: 16\n", "run.yaml:3: lora_r: unknown key; here it is called 'method.rank'"
    ),
    "TRL's words": body(
        "training:\n  num_train_epochs: 3\n  per_device_train_batch_size: 2\n",
        "2 problems in the spec:\n"
        "  - run.yaml:4: training.num_train_epochs: unknown key; "
        "here it is called 'training.epochs'\n"
        "  - run.yaml:5: training.per_device_train_batch_size: unknown key; "
        "here it is called 'training.batch_size' (sequences per optimizer step)",
    ),
    "Axolotl's word for the model": Mistake(
        "base_model: acme/small\nmodel: acme/small\ndata: rows.jsonl\n",
        "run.yaml:1: base_model: unknown key; here it is called 'model'",
    ),
    "a key in the wrong section": body(
        "learning_rate: 1e-4\n",
        "run.yaml:3: learning_rate: unknown key; it belongs in 'training.learning_rate'",
    ),
    "quantization under lora": body(
        "method:\n  type: lora\n  quantization: nf4\n",
        "run.yaml:5: method.quantization: unknown key; "
        "it belongs to type 'qlora': write type: qlora",
    ),
    "a rank for all weights": body(
        "method: {type: full, rank: 8}\n",
        "run.yaml:3: method.rank: unknown key; it belongs to type 'lora': write type: lora",
    ),
    "double quantization of int8": body(
        "method:\n  type: qlora\n  quantization: int8\n  double_quantization: true\n",
        "run.yaml:6: method.double_quantization: works with quantization: nf4 or fp4 only; "
        "int8 has no scales to store twice",
        schema=False,
    ),
    "beta under sft": body(
        "objective: {type: sft, beta: 0.1}\n",
        "run.yaml:3: objective.beta: unknown key; it belongs to type 'dpo': write type: dpo",
    ),
    "a margin under dpo": body(
        "objective: {type: dpo, gamma: 0.5}\n",
        "run.yaml:3: objective.gamma: unknown key; it belongs to type 'simpo': write type: simpo",
    ),
    "no strength of simpo": body(
        "objective:\n  type: simpo\n  beta: 0\n",
        "run.yaml:5: objective.beta: must be greater than 0, not 0",
    ),
    "a typo in the objective's name": body(
        "objective: sipmo\n",
        "run.yaml:3: objective: unknown type 'sipmo'; did you mean 'simpo'?",
    ),
    "one module as text": body(
        "method: {type: lora, target_modules: q_proj}\n",
        "run.yaml:3: method.target_modules: must be 'all-linear' or a list, not 'q_proj'",
    ),
    "a list for a mapping": body(
        "training:\n  - epochs: 2\n",
        "run.yaml:3: training: must be a mapping or Training(...), not [{'epochs': 2}]",
    ),
    "a section without keys": body(
        "training:\n# all of it commented out\n",
        "run.yaml:3: training: is empty; give it keys or remove it",
    ),
    "no model": Mistake(
        "model:\ndata: rows.jsonl\n",
        "run.yaml:1: model: is empty; give a hub id, a local folder, or embedded:smollm2-135m",
    ),
    "no data": Mistake("model: acme/small\n", "run.yaml:1: data: is required"),
    "empty data": Mistake(
        "model: acme/small\ndata:\n",
        "run.yaml:2: data: is empty; give a file, a folder, a hub id or rows",
    ),
    "no rows": Mistake(
        "model: acme/small\ndata: []\n",
        "run.yaml:2: data.source: holds no rows; give at least one",
        schema=False,
    ),
    "rows that are words": Mistake(
        "model: acme/small\ndata:\n  - text: one\n  - two\n",
        "run.yaml:4: data.source[1]: must be a mapping, not 'two'",
    ),
    "a name with a space": body(
        "output: {name: my run}\n",
        "run.yaml:3: output.name: must begin with a letter or digit and go on with up to 63 "
        "of these or '.', '_', '-', not 'my run'",
    ),
    "a backend without its type": body(
        "backend: {typ: local}\n",
        "run.yaml:3: backend: says no type; write backend: {type: local, ...}",
    ),
    "a typo in backend": body(
        "bakend: local\n", "run.yaml:3: bakend: unknown key; did you mean 'backend'?"
    ),
    "an empty backend": body(
        "backend:\n",
        "run.yaml:3: backend: is empty; give a name such as local, or remove it",
    ),
    "a native setting without its backend": body(
        "extra: {local: fast}\n", "run.yaml:3: extra.local: must be a mapping, not 'fast'"
    ),
    "a key twice": body(
        "training:\n  epochs: 1\n  seed: 1\n  epochs: 2\n",
        "run.yaml:6:3: training.epochs: stands twice, first on line 4; keep one",
        schema=False,
    ),
    "a tag that would run code": body(
        "extra: !!python/object/apply:os.system [ls]\n",
        "run.yaml:3:8: the tag !!python/object/apply:os.system is not allowed; "
        "write the plain value",
        schema=False,
    ),
    "not a number": body(
        "training: {learning_rate: .nan}\n",
        "run.yaml:3:27: training.learning_rate: .nan is not a finite number; give one that is",
        schema=False,
    ),
    "infinity by overflow": body(
        "training: {learning_rate: 1e999}\n",
        "run.yaml:3:27: training.learning_rate: 1e999 is not a finite number; give one that is",
        schema=False,
    ),
    "a tab": body(
        "training:\n\tepochs: 3\n",
        "run.yaml:4:1: a tab; indent with spaces",
        schema=False,
    ),
    "two colons": body(
        "output: name: x\n",
        "run.yaml:3:13: a second ': ' on one line; put quotes around a value that holds ': ', "
        "or put the inner key on a line of its own, further in",
        schema=False,
    ),
    "an open quote": body(
        "output: {name: 'x}\n",
        "run.yaml:4:1: an open quote; close it",
        schema=False,
    ),
    "keys that do not line up": body(
        "training:\n    epochs: 1\n  seed: 2\n",
        "run.yaml:5:3: this line does not line up with those before it; give keys of one group "
        "the same indentation, and close every quote and bracket",
        schema=False,
    ),
    "two documents": body(
        "---\n" + HEAD,
        "run.yaml:3:1: a second document; keep one per file and remove this ---",
        schema=False,
    ),
    "merge keys of YAML 1.1": body(
        "training:\n  <<: {epochs: 2}\n",
        "run.yaml:4:3: training: << is not YAML 1.2; write the keys out",
        schema=False,
    ),
    "an empty file": Mistake(
        "# nothing yet\n",
        "run.yaml:1:1: is empty; write at least model and data "
        "(`tunekit init` writes a commented file)",
    ),
    "a list of runs": Mistake(
        "- model: acme/small\n  data: rows.jsonl\n",
        "run.yaml:1:1: is a list, not keys; begin with `model: ...`",
    ),
}


def test_the_table_has_at_least_twenty_five_mistakes() -> None:
    assert len(MISTAKES) >= 25


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_with_its_place_and_its_fix(name: str) -> None:
    mistake = MISTAKES[name]
    with pytest.raises(SpecError) as caught:
        loads(mistake.text, "run.yaml")
    assert str(caught.value) == mistake.error


@pytest.mark.parametrize("name", [name for name in MISTAKES if MISTAKES[name].schema])
def test_an_editor_sees_the_mistake_through_the_json_schema(name: str) -> None:
    values = yaml.safe_load(MISTAKES[name].text.replace("1e4", "1.0e+4").replace("1e-4", "1.0e-4"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, schema())


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    layers = ["  a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for last, name in zip("abcdefghij", "bcdefghijk", strict=True):
        layers.append(f"  {name}: &{name} [{', '.join([f'*{last}'] * 10)}]")
    with pytest.raises(SpecError) as caught:
        loads(HEAD + "extra:\n" + "\n".join(layers) + "\n", "run.yaml")
    assert "aliases that add more than 10000 values; write the values out" in str(caught.value)
    assert str(caught.value).startswith("run.yaml:4:")


def test_an_alias_that_holds_itself_is_refused() -> None:
    with pytest.raises(SpecError, match="aliases that add more than 10000 values"):
        loads(HEAD + "extra: {local: &a {again: *a}}\n", "run.yaml")


def test_a_small_alias_is_read() -> None:
    text = HEAD.replace("rows.jsonl", "&rows rows.jsonl") + "output: {folder: *rows}\n"
    assert loads(text).spec.output.folder == "rows.jsonl"


def test_a_thousand_brackets_are_refused_without_a_traceback() -> None:
    for text, source in ((HEAD + "extra: " + "[" * 1000, "run.yaml"), ("[" * 100_000, "run.json")):
        with pytest.raises(SpecError, match="levels; a spec needs five"):
            loads(text, source)


def test_a_file_over_one_megabyte_is_refused() -> None:
    rows = "data:\n" + "- {text: lorem ipsum dolor sit amet}\n" * 40_000
    with pytest.raises(SpecError, match=r"run\.yaml: is larger than 1 MB; keep the rows in a file"):
        loads("model: acme/small\n" + rows, "run.yaml")


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    text = HEAD + "method: {type: lora, r: 8}\ntraining: {epochs: 0, seed: -1}\n"
    with pytest.raises(SpecError) as caught:
        loads(text, "run.yaml")
    assert caught.value.problems == (
        "run.yaml:3: method.r: unknown key; here it is called 'method.rank'",
        "run.yaml:4: training.epochs: must be greater than 0 or 'auto', not 0",
        "run.yaml:4: training.seed: must be at least 0, not -1",
    )
