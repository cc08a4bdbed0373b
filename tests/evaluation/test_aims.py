"""What an objective wants more of is measured as a model by itself would say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import tiny_model
from tunekit.data.rows import Prompt as Row
from tunekit.data.rows import Where
from tunekit.data.tokens import Asked, Judgement, Pair
from tunekit.evaluation import aims
from tunekit.evaluation.rewards import RewardFunction

HERE = Where(file="rows", line=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("aims") / "model")


def test_the_margin_of_judged_answers_is_their_log_probability_and_its_opposite(
    folder: Path,
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    rows = [Judgement([5, 6], [7, 8, 9], True), Judgement([5], [11, 12], False)]

    found = aims.judged_margin(model, rows)

    for row, margin in zip(rows, found, strict=True):
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        with torch.no_grad():
            logs = model(ids).logits[0].log_softmax(-1)
        at = range(len(row.prompt_ids), ids.shape[1])
        total = sum(logs[n - 1, ids[0, n]].item() for n in at)
        assert margin == pytest.approx(total if row.label else -total, abs=1e-4)


def test_scores_are_those_of_each_answer_alone(folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, set_seed

    set_seed(0)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    model.config.pad_token_id = 3
    pairs = [Pair([5, 6], [7, 8, 9, 10], [11]), Pair([5], [12], [13, 14])]
    model.train()

    found = aims.scores(model, pairs)

    assert model.training
    model.eval()
    with torch.no_grad():
        for pair, both in zip(pairs, found, strict=True):
            for answer, score in zip((pair.chosen_ids, pair.rejected_ids), both, strict=True):
                alone = model(torch.tensor([[*pair.prompt_ids, *answer]])).logits.item()
                assert score == pytest.approx(alone, abs=1e-5)


def test_rewards_are_summed_by_their_weights_over_greedy_answers(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    seen: list[dict[str, Any]] = []

    def length(completions: list[Any], **columns: Any) -> list[float | None]:
        seen.append({"completions": completions, **columns})
        return [float(len(each[-1]["content"])) for each in completions]

    def abstains(completions: list[Any], number: list[int]) -> list[float | None]:
        return [None if each == 1 else 10.0 for each in number]

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    prompt = [{"role": "user", "content": "the order"}]
    asked = [
        (
            Asked([1, 40, 41], Row(prompt="the order", where=HERE)),
            json.dumps({"prompt": prompt, "number": number}),
        )
        for number in (0, 1)
    ]
    functions = [RewardFunction("rows:length", length), RewardFunction("rows:abstains", abstains)]

    found = aims.rewards(model, tokenizer, asked, functions, weights=[1.0, 0.5], length=3)

    (given,) = seen
    said = len(given["completions"][0][-1]["content"])
    assert found == (said + 5.0, said)
    assert (given["prompts"], given["number"]) == ([prompt, prompt], [0, 1])
    assert all(len(ids) <= 3 for ids in given["completion_ids"])
