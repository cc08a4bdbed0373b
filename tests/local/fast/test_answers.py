"""TRL's calls for log-probabilities are answered as TRL answers them itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head, use_adapter

from tests.local.fast.tiny import adapted, model, passes, some_rows
from tunekit.backends.local.fast.install import answer
from tunekit.backends.local.fast.memory import Memory
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.stream import Row

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS = some_rows([23, 9, 31, 17], alike=18)
FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1", "label_mask")


def batch(*, joined: bool) -> dict[str, torch.Tensor]:
    """Make a batch as TRL's SFTTrainer gets it."""
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=joined)
    return collate([{"input_ids": list(r.tokens), "labels": list(r.labels)} for r in ROWS])


def packed() -> dict[str, torch.Tensor]:
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    tokens = [token for row in ROWS for token in row.tokens]
    labels = [label for row in ROWS for label in row.labels]
    lengths = [len(row.tokens) for row in ROWS]
    return collate([{"input_ids": tokens, "labels": labels, "seq_lengths": lengths}])


def padded_left() -> dict[str, torch.Tensor]:
    given = batch(joined=False)
    width = given["input_ids"].shape[1]
    for n, row in enumerate(ROWS):
        shift = width - len(row.tokens)
        for key, pad in (("input_ids", 0), ("attention_mask", 0), ("labels", -100)):
            given[key][n] = given[key][n].roll(shift)
            given[key][n, :shift] = pad
    # Nothing of a row predicts its first token.
    given["labels"][given["attention_mask"].cumsum(1) == 1] = -100
    return given


def prepared() -> tuple[Any, Any]:
    """Give two equal models: one that TRL answers for, and one that we answer for."""
    models: list[Any] = []
    for _ in range(2):
        peft_model = adapted(model())
        add_fused_lm_head(peft_model.get_base_model(), outputs=FIELDS[:5])
        models.append(peft_model)
    answer(models[1], read(models[1], passes(), recompute=False))
    return models[0], models[1]


def ask(peft_model: Any, given: dict[str, torch.Tensor], **more: Any) -> FusedCausalLMOutput:
    return peft_model(**given, use_cache=False, fused_lm_head=True, **more)


def answered(found: FusedCausalLMOutput) -> bool:
    """Say whether we have answered: TRL sums up a loss as well."""
    return found.loss is None


@pytest.mark.parametrize(
    "given",
    [batch(joined=False), batch(joined=True), packed(), padded_left()],
    ids=["padded", "joined", "packed", "padded on the left"],
)
def test_every_figure_is_that_of_trl(given: dict[str, torch.Tensor]) -> None:
    theirs, ours = prepared()
    expected, found = ask(theirs, given), ask(ours, given)
    assert answered(found)
    for name in FIELDS:
        torch.testing.assert_close(found[name], expected[name], rtol=2e-5, atol=2e-5)
    for each in (expected, found):
        each.log_probs.square().sum().backward()
    gradients = [
        {name: w.grad for name, w in each.named_parameters() if w.grad is not None}
        for each in (theirs, ours)
    ]
    assert gradients[0]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)


def test_the_base_is_asked_where_adapters_are_off() -> None:
    theirs, ours = prepared()
    found: list[FusedCausalLMOutput] = []
    for each in (theirs, ours, ours):  # the second time from memory
        with torch.no_grad(), each.disable_adapter():
            found.append(ask(each, batch(joined=False)))
    assert [answered(each) for each in found] == [False, True, True]
    torch.testing.assert_close(found[1].log_probs, found[0].log_probs, rtol=2e-5, atol=2e-5)
    assert torch.equal(found[1].log_probs, found[2].log_probs)


def test_a_frozen_adapter_is_asked_by_name_and_gradients_are_those_of_the_trained_one() -> None:
    theirs, ours = prepared()
    for each in (theirs, ours):
        each.add_adapter("ref", each.peft_config["default"])
        for name, weight in each.named_parameters():
            if ".ref." in name:
                weight.data.fill_(0.02)
    found: list[FusedCausalLMOutput] = []
    for each in (theirs, ours):
        policy = ask(each, batch(joined=False))
        for _ in range(2):  # the second time from memory
            with torch.no_grad(), use_adapter(each, "ref"):
                found.append(ask(each, batch(joined=False)))
        policy.log_probs.square().sum().backward()
    assert [answered(each) for each in found] == [False, False, True, True]
    torch.testing.assert_close(found[2].log_probs, found[0].log_probs, rtol=2e-5, atol=2e-5)
    assert torch.equal(found[2].log_probs, found[3].log_probs)
    gradients = [
        {name: w.grad for name, w in each.named_parameters() if w.grad is not None}
        for each in (theirs, ours)
    ]
    assert gradients[0] and not any(".ref." in name for name in gradients[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "more",
    [{"output_hidden_states": True}, {"shift_labels": torch.zeros(4, 31, dtype=torch.long)}],
    ids=["hidden states", "shifted labels"],
)
def test_a_call_that_is_not_understood_goes_to_trl(more: dict[str, Any]) -> None:
    theirs, ours = prepared()
    expected, found = (ask(each, batch(joined=False), **more) for each in (theirs, ours))
    assert not answered(found)
    assert torch.equal(found.log_probs, expected.log_probs)


def test_a_batch_without_labels_that_count_goes_to_trl() -> None:
    theirs, ours = prepared()
    given = batch(joined=False)
    given["labels"].fill_(-100)
    found = ask(ours, given)
    assert torch.equal(found.log_probs, ask(theirs, given).log_probs)
    found.log_probs.sum().backward()  # a gradient of zero, which TRL relies on


def test_logits_are_computed_as_before() -> None:
    theirs, ours = prepared()
    tokens = torch.tensor([list(ROWS[0].tokens)])
    assert torch.equal(ours(input_ids=tokens).logits, theirs(input_ids=tokens).logits)
    assert torch.equal(
        ours.generate(input_ids=tokens, max_new_tokens=4, do_sample=False),
        theirs.generate(input_ids=tokens, max_new_tokens=4, do_sample=False),
    )


def test_the_memory_computes_a_row_once_and_tells_labels_apart() -> None:
    memory, calls = Memory(), []

    def compute() -> torch.Tensor:
        calls.append(1)
        return torch.arange(2.0) + len(calls)

    one, other = Row([1, 2, 3], [-100, 2, 3]), Row([1, 2, 3], [-100, 2, 4])
    assert memory.get([one], compute).tolist() == [1.0, 2.0]
    assert memory.get([one], compute).tolist() == [1.0, 2.0]
    assert memory.get([other], compute).tolist() == [2.0, 3.0]
    assert len(calls) == 2


def test_a_full_memory_forgets_nothing_and_takes_nothing_more() -> None:
    memory = Memory(most=8)
    rows = [Row([n, n, n], [-100, n, n]) for n in range(2)]
    for row in rows:
        memory.get([row], lambda: torch.zeros(2))
    assert memory.get([rows[0]], lambda: torch.ones(2)).tolist() == [0.0, 0.0]
    assert memory.get([rows[1]], lambda: torch.ones(2)).tolist() == [1.0, 1.0]
