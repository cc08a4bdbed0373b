"""Loss, pairs and answers, against transformers' own loss and its own generate."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tests.evaluation.rows import asked, labelled, pairs
from tunekit.data.tokens import Prompt, Tokens
from tunekit.evaluation import forward, generate
from tunekit.evaluation.measure import measure as measured
from tunekit.evaluation.measure import measure_pairs

TEXTS = (
    "<|im_start|>user\nhow many parcels?<|im_end|>\n<|im_start|>assistant\n",
    "the",
    "the order and the refund, the account and the invoice and the address",
    "12",
    "{",
)


def loss(model: Any, tokens: Tokens) -> tuple[float, int]:
    """Sum transformers' loss over one row, unpadded and alone."""
    import torch

    labels = torch.tensor([tokens.labels])
    count = int((labels[:, 1:] != -100).sum())
    with torch.no_grad():
        mean = model(input_ids=torch.tensor([tokens.input_ids]), labels=labels).loss
    return mean.item() * count, count


def only_loss(model: Any, rows: list[Tokens]) -> Any:
    return measured(model, None, tokens=rows, prompts=[], max_new_tokens=1)


def test_the_loss_is_the_mean_of_transformers_losses_over_all_labels(model: Any) -> None:
    rows = labelled(23)
    alone = [loss(model.eval(), row) for row in rows]
    wanted = sum(total for total, _ in alone) / sum(count for _, count in alone)
    found = only_loss(model, rows)
    assert found.loss == pytest.approx(wanted, abs=1e-6)
    assert found.perplexity == pytest.approx(math.exp(wanted), rel=1e-6)
    assert found.tokens == sum(count for _, count in alone)


def test_the_loss_of_a_peft_model_is_that_of_base_and_adapter(tuned: Any) -> None:
    rows = labelled(9)
    found = only_loss(tuned, rows)
    alone = [loss(tuned.eval(), row) for row in rows]
    wanted = sum(total for total, _ in alone) / sum(count for _, count in alone)
    assert found.loss == pytest.approx(wanted, abs=1e-6)
    with tuned.disable_adapter():
        assert only_loss(tuned, rows).loss != pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("logits", [1, 320 * 41, 2**27])
def test_the_size_of_a_batch_does_not_change_the_loss(
    model: Any, monkeypatch: pytest.MonkeyPatch, logits: int
) -> None:
    rows = labelled(23)
    wanted = only_loss(model, rows).loss
    monkeypatch.setattr(forward, "_MOST_LOGITS", logits)
    monkeypatch.setattr(forward, "_TILE", 3)
    assert only_loss(model, rows).loss == pytest.approx(wanted, abs=1e-6)


def test_a_model_that_gives_all_logits_is_measured_alike(model: Any) -> None:
    rows = labelled(9)
    wanted = only_loss(model, rows).loss
    forward = model.forward

    def plain(input_ids: Any, attention_mask: Any, use_cache: bool) -> Any:
        return forward(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    model.forward = plain
    assert only_loss(model, rows).loss == pytest.approx(wanted, abs=1e-6)


def test_the_first_token_does_not_count_because_nothing_predicts_it(model: Any) -> None:
    found = only_loss(model, [Tokens([5, 6, 7], [5, -100, 7])])
    assert found.tokens == 1


def test_rows_without_labels_leave_the_loss_open(model: Any) -> None:
    found = only_loss(model, [Tokens([5, 6], [-100, -100]), Tokens([5], [5])])
    assert (found.loss, found.perplexity, found.tokens) == (None, None, 0)


def test_a_diverged_model_has_no_loss(model: Any) -> None:
    model.lm_head.weight.data[5] = float("nan")
    found = only_loss(model, labelled(3))
    assert found.loss is None
    assert found.tokens > 0


def test_pairs_are_scored_by_the_sum_over_the_answer(model: Any) -> None:
    rows = pairs(7)
    found = measure_pairs(model, rows)
    for (chosen, rejected), pair in zip(found, rows, strict=True):
        for value, answer in ((chosen, pair.chosen_ids), (rejected, pair.rejected_ids)):
            ids = [*pair.prompt_ids, *answer]
            labels = [-100] * len(pair.prompt_ids) + answer
            assert value == pytest.approx(-loss(model, Tokens(ids, labels))[0], abs=1e-4)


def test_answers_together_are_the_answers_alone(tuned: Any, tokenizer: Any) -> None:
    prompts = asked(tokenizer, *TEXTS)
    together = measured(tuned, tokenizer, tokens=[], prompts=prompts, max_new_tokens=24).answers
    alone = [
        measured(tuned, tokenizer, tokens=[], prompts=[prompt], max_new_tokens=24).answers[0]
        for prompt in prompts
    ]
    assert list(together) == alone
    assert len(set(alone)) == len(alone)


def test_the_answers_are_transformers_greedy_ones(model: Any, tokenizer: Any) -> None:
    import torch

    prompts = asked(tokenizer, *TEXTS)
    found = measured(model, tokenizer, tokens=[], prompts=prompts, max_new_tokens=16).answers
    for prompt, answer in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt.input_ids])
        made = model.generate(ids, max_new_tokens=16, do_sample=False)[0, ids.shape[1] :]
        assert answer == tokenizer.decode(made, skip_special_tokens=True)


def test_answers_are_greedy_whatever_the_model_was_published_with(
    model: Any, tokenizer: Any
) -> None:
    from transformers import GenerationConfig

    prompts = asked(tokenizer, *TEXTS)
    wanted = measured(model, tokenizer, tokens=[], prompts=prompts, max_new_tokens=16)
    own = GenerationConfig(
        do_sample=True, temperature=5.0, repetition_penalty=3.0, eos_token_id=[2], pad_token_id=3
    )
    model.generation_config = own
    found = measured(model, tokenizer, tokens=[], prompts=prompts, max_new_tokens=16)
    assert found == wanted
    assert model.generation_config is own


def test_an_answer_ends_at_any_end_token_and_shows_none(model: Any, tokenizer: Any) -> None:
    prompts = asked(tokenizer, TEXTS[0])
    whole = measured(model, tokenizer, tokens=[], prompts=prompts, max_new_tokens=8).answers[0]
    end = tokenizer(whole)["input_ids"][3]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, end]
    cut = measured(model, tokenizer, tokens=[], prompts=prompts, max_new_tokens=8).answers[0]
    assert whole.startswith(cut)
    assert 0 < len(cut) < len(whole)


def test_a_prompt_too_long_for_the_context_loses_its_beginning(model: Any, tokenizer: Any) -> None:
    pick = random.Random(3)
    ids = [pick.randrange(4, 320) for _ in range(700)]
    long, fits = Prompt(ids, "", ""), Prompt(ids[-(512 - 8) :], "", "")
    found = measured(model, tokenizer, tokens=[], prompts=[long, fits], max_new_tokens=8).answers
    assert found[0] == found[1]


def test_an_empty_prompt_is_begun_with_the_first_token(model: Any, tokenizer: Any) -> None:
    empty, begun = Prompt([], "", ""), Prompt([tokenizer.bos_token_id], "", "")
    found = measured(model, tokenizer, tokens=[], prompts=[empty, begun], max_new_tokens=4).answers
    assert found[0] == found[1] != ""


def test_many_prompts_come_back_in_their_order(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = asked(tokenizer, *(" ".join(["order"] * n) for n in (3, 9, 1, 7, 2, 8, 5)))
    wanted = measured(model, tokenizer, tokens=[], prompts=prompts, max_new_tokens=6).answers
    monkeypatch.setattr(generate, "_MOST_ROWS", 2)
    found = measured(model, tokenizer, tokens=[], prompts=prompts, max_new_tokens=6).answers
    assert found == wanted


def test_measuring_leaves_no_trace(tuned: Any, tokenizer: Any) -> None:
    import torch

    tuned.base_model.model.model.norm.eval()
    modes = [module.training for module in tuned.modules()]
    torch.manual_seed(7)
    random.seed(7)
    wanted = (torch.rand(3), random.random())
    torch.manual_seed(7)
    random.seed(7)

    prompts = asked(tokenizer, *TEXTS)
    measured(tuned, tokenizer, tokens=labelled(5), prompts=prompts, max_new_tokens=4)
    measure_pairs(tuned, pairs(3))

    assert torch.rand(3).equal(wanted[0])
    assert random.random() == wanted[1]
    assert [module.training for module in tuned.modules()] == modes
    assert all(weight.grad is None for weight in tuned.parameters())
    assert any(weight.requires_grad for weight in tuned.parameters())
    assert torch.is_grad_enabled()


def test_a_failure_while_measuring_leaves_no_trace_either(tuned: Any, tokenizer: Any) -> None:
    modes = [module.training for module in tuned.modules()]
    with pytest.raises(IndexError):
        only_loss(tuned, [Tokens([4, 999_999], [4, 999_999])])
    assert [module.training for module in tuned.modules()] == modes


def test_measuring_twice_gives_the_same_numbers(tuned: Any, tokenizer: Any) -> None:
    prompts = asked(tokenizer, *TEXTS)
    first, second = (
        measured(tuned, tokenizer, tokens=labelled(5), prompts=prompts, max_new_tokens=8)
        for _ in range(2)
    )
    assert first == second


def test_what_an_answer_is_known_to_begin_with_is_not_decoded_again(
    model: Any, tokenizer: Any
) -> None:
    import torch

    prompts = asked(tokenizer, *TEXTS)
    rows = [torch.tensor([prompt.input_ids]) for prompt in prompts]
    made = [
        model.generate(ids, max_new_tokens=16, do_sample=False)[0, ids.shape[1] :].tolist()
        for ids in rows
    ]
    wanted = [tokenizer.decode(row, skip_special_tokens=True) for row in made]
    known = [made[0][:1], made[1], [], [*made[3][:2], tokenizer.eos_token_id, 7], made[4][:9]]
    found = generate.answers(model, tokenizer, prompts, length=16, known=known)
    assert found[3] == tokenizer.decode(made[3][:2])
    assert [*found[:3], found[4]] == [*wanted[:3], wanted[4]]
