"""The ids and labels of TRL's own trainers, on the same rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.data.families import HERE, Family, byte_level, chat, real
from tunekit.data.mask import IGNORED, tokenize, tokenize_pair
from tunekit.data.rows import Completion, Preference, Text
from tunekit.data.template import turn

PLAIN = byte_level(Family("<s>", "</s>", "</s>", "</s>"), None)
TEXTS = [("2+2=", " 4"), ("hello ", "world"), ("hello w", "orld</s>"), ("", "x"), ("a\n", "\nb")]
CHATS = [
    chat(("user", "hi"), ("assistant", "yes"), ("assistant", "no")),
    chat(("user", " a "), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("assistant", "")),
]
IDS = ("prompt_ids", "chosen_ids", "rejected_ids")
NAMES = ["qwen2_5", "qwen3", "llama3", "phi3", "glm4moe", "gptoss", "deepseekv3"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trl_rows() -> Any:
    """Give a function that prepares rows as one of TRL's trainers does, without a model."""
    import datasets
    from trl import DPOTrainer, SFTTrainer

    kinds: dict[str, Any] = {"sft": SFTTrainer, "dpo": DPOTrainer}
    config = SimpleNamespace(
        dataset_num_proc=None,
        dataset_text_field="text",
        assistant_only_loss=False,
        max_length=None,
        truncation_mode="keep_start",
        shuffle_dataset=False,
    )

    def prepare(kind: str, rows: list[dict[str, Any]], tokenizer: Any) -> list[dict[str, Any]]:
        trainer = kinds[kind].__new__(kinds[kind])
        trainer._tokenizer = tokenizer
        trainer.chat_template = None
        trainer.completion_only_loss = True
        data = datasets.Dataset.from_list(rows)
        more = {"packing": False, "formatting_func": None} if kind == "sft" else {}
        made = trainer._prepare_dataset(
            data, processing_class=tokenizer, args=config, dataset_name="train", **more
        )
        return list(made)

    return prepare


def test_prompt_and_completion_have_the_ids_and_labels_of_sft_trainer(trl_rows: Any) -> None:
    rows = [Completion(prompt=a, completion=b, where=HERE) for a, b in TEXTS]
    raw = [{"prompt": row.prompt, "completion": row.completion} for row in rows]
    for row, theirs in zip(rows, trl_rows("sft", raw, PLAIN), strict=True):
        ours = tokenize(row, PLAIN, train_on="completion", max_length=None)
        assert (ours.input_ids, ours.labels) == (theirs["input_ids"], theirs["labels"])
        assert IGNORED in ours.labels or row.prompt == ""


def test_text_has_the_ids_of_sft_trainer(trl_rows: Any) -> None:
    rows = [Text(text=a + b, where=HERE) for a, b in TEXTS]
    for row, theirs in zip(
        rows, trl_rows("sft", [{"text": r.text} for r in rows], PLAIN), strict=True
    ):
        ours = tokenize(row, PLAIN, train_on="all", max_length=None)
        assert ours.input_ids == theirs["input_ids"]
        assert ours.labels == theirs.get("labels", theirs["input_ids"])


def test_pairs_of_text_have_the_ids_of_dpo_trainer(trl_rows: Any) -> None:
    rows = [Preference(prompt=a, chosen=b, rejected=f"{b}!", where=HERE) for a, b in TEXTS]
    raw = [{"prompt": r.prompt, "chosen": r.chosen, "rejected": r.rejected} for r in rows]
    for row, theirs in zip(rows, trl_rows("dpo", raw, PLAIN), strict=True):
        ours = tokenize_pair(row, PLAIN, max_length=None)
        assert [getattr(ours, side) for side in IDS] == [theirs[side] for side in IDS]


@pytest.mark.parametrize("name", NAMES)
def test_pairs_of_chats_have_the_ids_of_dpo_trainer(name: str, trl_rows: Any) -> None:
    tokenizer = real(name)
    rows = [
        Preference(
            prompt=row.messages[:-2],
            chosen=row.messages[-2:-1],
            rejected=row.messages[-1:],
            where=HERE,
        )
        for row in CHATS
    ]
    raw = [
        {
            side: [turn(message) for message in getattr(row, side)]
            for side in ("prompt", "chosen", "rejected")
        }
        for row in rows
    ]
    for row, theirs in zip(rows, trl_rows("dpo", raw, tokenizer), strict=True):
        ours = tokenize_pair(row, tokenizer, max_length=None)
        assert [getattr(ours, side) for side in IDS] == [theirs[side] for side in IDS]
