"""Rows are scored and answers written by our passes as transformers does both."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model

from tests.local.fast.tiny import FAMILIES, VOCABULARY, adapted, model, passes, some_rows
from tunekit.backends.local.fast.install import answer
from tunekit.backends.local.fast.lending import lend, lent
from tunekit.backends.local.fast.mixed import Mixed
from tunekit.backends.local.fast.native import Native
from tunekit.backends.local.fast.operations import Operations
from tunekit.backends.local.fast.reading import read
from tunekit.backends.local.fast.reordered import reordered
from tunekit.backends.local.fast.stream import Row
from tunekit.data.tokens import Tokens
from tunekit.evaluation import inference
from tunekit.evaluation.forward import log_probabilities, score

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS = [Tokens(list(row.tokens), list(row.labels)) for row in some_rows([23, 9, 31, 17], alike=18)]
PROMPTS = [row.input_ids[:length] for row, length in zip(ROWS, (21, 4, 30, 18), strict=True)]
LENGTH = 14
ENDS = (2, 4, 9, 16, 17)


def likeliest(logits: Any) -> Any:
    return logits.argmax(-1)


def by_generate(peft_model: Any, prompt: Sequence[int]) -> list[int]:
    """Let transformers answer a prompt alone, so that nothing is padded."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        made = peft_model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=LENGTH,
            do_sample=False,
            eos_token_id=list(ENDS),
        )[0, len(prompt) :].tolist()
    end = next((n for n, token in enumerate(made) if token in ENDS), len(made))
    return made[:end]


def extended(peft_model: Any) -> list[list[int]]:
    asked = inference.of(peft_model)
    assert asked is not None
    return asked.extend(PROMPTS, length=LENGTH, ends=ENDS, pick=likeliest)


def prepared(family: str = "llama", run: str = "native") -> tuple[Any, Any]:
    """Give two equal models, and let the second be asked through our passes."""
    plain = adapted(model(family)).eval()
    ours = copy.deepcopy(plain)
    lend(ours.get_base_model(), read(ours, passes(run), recompute=False))
    return plain, ours


@pytest.mark.parametrize("run", ["torch", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_generate(family: str, run: str) -> None:
    plain, ours = prepared(family, run)
    expected = [by_generate(plain, prompt) for prompt in PROMPTS]
    # Some end early and some do not, so that rows leave a batch while others go on.
    assert extended(ours) == expected
    with plain.disable_adapter(), ours.disable_adapter():
        base = [by_generate(plain, prompt) for prompt in PROMPTS]
        assert extended(ours) == base
    assert base != expected


def test_the_prompts_end_at_different_times() -> None:
    lengths = {len(each) for each in extended(prepared()[1])}
    assert len(lengths) > 1
    assert max(lengths) == LENGTH


@pytest.mark.parametrize("run", ["torch", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_model(family: str, run: str) -> None:
    plain, ours = prepared(family, run)
    rows = [*ROWS, Tokens([4, 5], [-100, -100])]
    with torch.no_grad():
        for one, other in zip(score(ours, rows), score(plain, rows), strict=True):
            assert one.total == pytest.approx(other.total, rel=1e-5)
            assert (one.count, one.right) == (other.count, other.right)
        expected = dict(log_probabilities(plain, rows))
        found = dict(log_probabilities(ours, rows))
    assert found.keys() == expected.keys() == {0, 1, 2, 3}
    for n, logs in found.items():
        assert logs.shape == (score(plain, rows)[n].count, VOCABULARY)
        torch.testing.assert_close(logs, expected[n], rtol=1e-4, atol=1e-4)


def test_many_rows_are_asked_in_several_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, ours = prepared()
    for name, most in (("_TOKENS", 30), ("_MOST_LOGITS", 8 * VOCABULARY)):
        monkeypatch.setattr(f"tunekit.backends.local.fast.inference.{name}", most)
    with torch.no_grad():
        for one, other in zip(score(ours, ROWS), score(plain, ROWS), strict=True):
            assert one.total == pytest.approx(other.total, rel=1e-5)
        assert [n for n, _ in log_probabilities(ours, ROWS)] == [0, 1, 2, 3]


def test_a_model_in_training_or_with_another_adapter_is_asked_itself() -> None:
    _, ours = prepared()
    ours.train()
    assert inference.of(ours) is None
    ours.eval()
    assert inference.of(ours) is not None
    ours.merge_adapter()
    assert inference.of(ours) is None


def test_adapters_are_asked_as_they_are_at_the_moment() -> None:
    plain, ours = prepared()
    first = extended(ours)
    with torch.no_grad():
        for each in (plain, ours):
            for name, weight in each.named_parameters():
                if "lora_B" in name:
                    weight.mul_(-3)
    assert extended(ours) == [by_generate(plain, prompt) for prompt in PROMPTS] != first


def test_the_network_that_trains_is_the_one_that_is_asked() -> None:
    plain, ours = adapted(model()).eval(), adapted(model()).eval()
    answer(ours, read(ours, passes(), recompute=False))
    assert extended(ours) == [by_generate(plain, prompt) for prompt in PROMPTS]


def test_each_tenant_answers_by_its_own_adapters() -> None:
    base = model()
    held = {id(tensor): tensor for tensor in (*base.parameters(), *base.buffers())}
    ranks = (3, 20, 5)
    tenants = [
        adapted(copy.deepcopy(base, dict(held)), seed=n, r=rank).eval()
        for n, rank in enumerate(ranks)
    ]
    expected = [[by_generate(each, prompt) for prompt in PROMPTS] for each in tenants]
    mixed = Mixed(tenants, passes(), recompute=False)
    for number in (2, 0, 1, 2):
        found = Asking(mixed, number).answers(tenants[number])
        assert found == expected[number]
    with tenants[1].disable_adapter():
        without = [by_generate(tenants[1], prompt) for prompt in PROMPTS]
        assert Asking(mixed, 1).answers(tenants[1]) == without


class Asking:
    """A tenant as its trainer's model sees it."""

    def __init__(self, mixed: Mixed, number: int) -> None:
        self._mixed, self._number = mixed, number

    def reading(self, *, adapted: bool) -> Any:
        return self._mixed.reading(self._number, adapted=adapted)

    def answers(self, peft_model: Any) -> list[list[int]]:
        lend(peft_model.get_base_model(), self)
        return extended(peft_model)


HOLD = range(len(ROWS))
SEEN = [row.input_ids[: Row(row.input_ids, row.labels).needed - n] for n, row in enumerate(ROWS)]


@pytest.mark.parametrize("most", [4096, 45])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_read_for_scores_is_not_read_again_for_answers(
    family: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, ours = prepared(family)
    # In one pass or in several.
    monkeypatch.setattr("tunekit.backends.local.fast.inference._TOKENS", most)
    asked: Any = inference.of(ours)
    scored = asked.score(ROWS, hold=HOLD, room=LENGTH)
    assert [row.right for row in scored] == [row.right for row in score(plain, ROWS)]
    with monkeypatch.context() as patched:
        patched.setattr(asked, "_begun", None)
        found = asked.extend(SEEN[::-1], length=LENGTH, ends=ENDS, pick=likeliest)
    assert found == [by_generate(plain, prompt) for prompt in SEEN[::-1]]
    # It is used once: then the cache holds what was written.
    assert asked.extend(SEEN, length=LENGTH, ends=ENDS, pick=likeliest) == found[::-1]


@pytest.mark.parametrize(
    ("hold", "room", "prompts"),
    [
        ([0, 1, 2], LENGTH, SEEN),  # one of four is not held
        (HOLD, 0, SEEN),  # there is no room for what is written
        (HOLD, LENGTH, [*SEEN, SEEN[0]]),  # one twice, which would write over the other
        (HOLD, LENGTH, [[*SEEN[0][:-2], 3, 3], *SEEN[1:]]),  # another prompt
        (HOLD, 10**6, SEEN),  # more than is ever held
    ],
)
def test_prompts_that_are_not_all_held_are_read(
    hold: Sequence[int], room: int, prompts: list[list[int]]
) -> None:
    plain, ours = prepared()
    asked = inference.of(ours)
    assert asked is not None
    asked.score(ROWS, hold=hold, room=room)
    found = asked.extend(prompts, length=LENGTH, ends=ENDS, pick=likeliest)
    assert found == [by_generate(plain, prompt) for prompt in prompts]


@pytest.mark.parametrize("rows", [1, 8, 50])
def test_a_weight_in_another_order_gives_the_same_products(rows: int) -> None:
    draw = torch.Generator().manual_seed(2)
    weight = torch.randn(96, 80, generator=draw).bfloat16()
    x = torch.randn(rows, 100, generator=draw).bfloat16()[:, :48]
    product = reordered(weight[:, :48])
    assert product is not None
    torch.testing.assert_close(product(x), x @ weight[:, :48].t())
    assert reordered(weight.float()) is None


def test_answers_in_bfloat16_do_not_depend_on_the_order_of_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = adapted(model("qwen2")).bfloat16().eval()
    answers: list[Any] = []
    for most in (0, 10**9):
        monkeypatch.setattr("tunekit.backends.local.fast.network.READY", most)
        ours = copy.deepcopy(plain)
        network = read(ours, Native(torch.bfloat16), recompute=False)
        lend(ours.get_base_model(), network)
        with network.ready(adapted=True):
            assert network.logits.is_ready == bool(most)
        with ours.disable_adapter():
            base = extended(ours)
        answers.append((extended(ours), base, network.logits.is_ready))
    assert answers[0] == answers[1]


def test_nor_do_those_of_a_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    base = model("qwen2").bfloat16()
    held = {id(tensor): tensor for tensor in (*base.parameters(), *base.buffers())}
    tenants = [
        adapted(copy.deepcopy(base, dict(held)), seed=n, r=rank).bfloat16().eval()
        for n, rank in enumerate((3, 20))
    ]
    mixed = Mixed(tenants, Native(torch.bfloat16), recompute=False)
    answers: list[Any] = []
    for most in (0, 10**9):
        monkeypatch.setattr("tunekit.backends.local.fast.network.READY", most)
        answers.append([Asking(mixed, n).answers(each) for n, each in enumerate(tenants)])
    assert answers[0] == answers[1]
    assert answers[0][0] != answers[0][1]


def test_a_model_that_nobody_trains_is_lent_our_passes_for_a_while() -> None:
    plain = model().eval()
    ours = copy.deepcopy(plain)
    with lent(ours):
        assert extended(ours) == [by_generate(plain, prompt) for prompt in PROMPTS]
    assert inference.of(ours) is None
    assert by_generate(ours, PROMPTS[0]) == by_generate(plain, PROMPTS[0])


def test_what_is_put_before_the_prompt_is_not_overlooked() -> None:
    config = PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    prompted = get_peft_model(model(), config).eval()
    with lent(prompted):
        assert inference.of(prompted) is None


def test_a_strange_model_is_asked_itself() -> None:
    strange = model().eval()
    strange.model.layers[0].mlp.act_fn = torch.nn.Tanh()
    with lent(strange):
        assert inference.of(strange) is None


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize(
    ("share", "width"), [(4, 8), (3, 64), (6, 64), (9, 128), (2, 96), (3, 48), (1, 20)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_compiled_kernel_attends_as_torch_does(
    dtype: torch.dtype, share: int, width: int, window: int | None
) -> None:
    draw = torch.Generator().manual_seed(4)
    split = tuple(torch.randn(2, n, width, generator=draw).to(dtype) for n in (3 * share, 3, 3))
    before = [torch.randn(5, 2, 11, width, generator=draw).to(dtype) for _ in range(2)]
    rows, lengths = (torch.tensor(each, dtype=torch.int32) for each in ([4, 0, 2], [11, 1, 7]))
    columns = 2 * share * width
    found = [torch.zeros(3, columns + 6, dtype=dtype) for _ in range(2)]
    after: list[Any] = []
    for run, out in zip((Native(dtype), Operations()), found, strict=True):
        held = tuple(each.clone() for each in before)
        run.attend(split, held, rows, lengths, scale=0.4, window=window, out=out)
        after.append(held)
    for one, other, old in zip(*after, before, strict=True):
        assert torch.equal(one, other)
        assert int((one != old).any(-1).sum()) == 3 * 2
    tolerance = 1e-5 if dtype is torch.float32 else 1e-2
    torch.testing.assert_close(*found, rtol=tolerance, atol=tolerance)
    assert not found[0][:, columns:].any()


def test_tokens_of_one_row_see_those_before_them() -> None:
    draw = torch.Generator().manual_seed(5)
    split = tuple(torch.randn(2, n, 16, generator=draw) for n in (3 * 2, 3, 3))
    held = tuple(torch.randn(1, 2, 9, 16, generator=draw) for _ in range(2))
    rows, lengths = torch.zeros(3, dtype=torch.int32), torch.tensor([5, 6, 7], dtype=torch.int32)
    found = [torch.zeros(3, 2 * 2 * 16) for _ in range(2)]
    for run, out in zip((Native(torch.float32), Operations()), found, strict=True):
        own = tuple(each.clone() for each in held)
        run.attend(split, own, rows, lengths, scale=0.4, window=None, out=out)
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
