"""The demo's rows: what the generator writes, and nothing that the unseen rows give away."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "data"
FILES = ("support.jsonl", "support_unseen.jsonl")
KEYS = ["topic", "order", "item", "urgent", "reply"]


def messages(name: str) -> list[list[dict[str, Any]]]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"] for line in lines]


def triples(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return set(zip(words, words[1:], words[2:], strict=False))


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_their_generator_writes(name: str) -> None:
    spec = importlib.util.spec_from_file_location("make_support", FOLDER / "make_support.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "make_support", module)
        spec.loader.exec_module(module)
        assert (FOLDER / name).read_text(encoding="utf-8") == module.files()[name]


def test_there_are_at_least_400_requests_to_learn_from_and_50_unseen() -> None:
    assert len(messages("support.jsonl")) >= 400
    assert len(messages("support_unseen.jsonl")) == 50


@pytest.mark.parametrize("name", FILES)
def test_every_answer_is_json_with_the_same_keys_and_can_be_read_off_the_request(name: str) -> None:
    for system, user, assistant in messages(name):
        answer = json.loads(assistant["content"])
        assert list(answer) == KEYS
        assert answer["item"] in user["content"]
        assert answer["order"] is None or answer["order"] in user["content"]
        assert answer["item"] in answer["reply"]
        assert not any(key in system["content"] for key in KEYS)


def test_no_unseen_request_is_a_near_copy_of_a_training_request() -> None:
    trained = [triples(turns[1]["content"]) for turns in messages("support.jsonl")]
    for turns in messages("support_unseen.jsonl"):
        mine = triples(turns[1]["content"])
        closest = max(len(mine & other) / len(mine | other) for other in trained)
        assert closest < 0.6, turns[1]["content"]


def test_no_two_requests_are_the_same() -> None:
    requests = [turns[1]["content"] for name in FILES for turns in messages(name)]
    assert len(set(requests)) == len(requests)
