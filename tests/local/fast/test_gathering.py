"""The portions of a step become few passes, and the step stays what it is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.dpo_trainer import DataCollatorForPreference

from tests.local.fast.test_curves import count_passes, run
from tests.local.specs import WORDS
from tunekit.backends.local.fast import pairs
from tunekit.backends.local.fast.gathering import joined, longest_pair
from tunekit.backends.local.fast.install import rows


def single(length: int, *, mask: bool) -> dict[str, Any]:
    """A row alone, as TRL's collator makes it."""
    ids = torch.arange(1, length + 1)[None]
    more = {"attention_mask": torch.ones_like(ids)} if mask else {}
    return {"input_ids": ids, "labels": ids.clone(), **more}


def flat(*lengths: int) -> dict[str, Any]:
    """Rows in one, as TRL's collator makes them where they need no padding."""
    place = torch.cat([torch.arange(length) for length in lengths])[None]
    labels = torch.where(place == 0, -100, place + 1)
    told = {"cu_seq_lens_q": torch.tensor([0, *lengths]).cumsum(0)}
    return {"input_ids": place + 1, "labels": labels, "position_ids": place, **told}


def read(batch: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    """The rows of a batch and the labels that count, as our passes take it."""
    given = (batch.get(name) for name in ("labels", "attention_mask", "position_ids"))
    found = rows(batch["input_ids"], *given) if batch["input_ids"].shape[1] else []
    return [([*row.tokens], [*row.labels[1:]]) for row in found]


PORTIONS = st.lists(
    st.one_of(
        st.builds(single, st.integers(1, 12), mask=st.booleans()),
        st.lists(st.integers(1, 6), min_size=1, max_size=3).map(lambda each: flat(*each)),
    ),
    min_size=1,
    max_size=7,
)


@given(PORTIONS, st.integers(1, 40))
def test_no_row_is_lost_and_no_pass_is_too_long(portions: list[dict[str, Any]], most: int) -> None:
    found = joined(portions, most)
    assert len(found) == len(portions)
    assert [row for batch in found for row in read(batch)] == [
        row for portion in portions for row in read(portion)
    ]
    sizes = [int(batch["input_ids"].shape[1]) for batch in found]
    longest = max(int(portion["input_ids"].shape[1]) for portion in portions)
    assert max(sizes) <= max(most, longest)
    # Empty ones come first, so that the last is a real pass.
    full = [size for size in sizes if size]
    assert sizes == [0] * (len(sizes) - len(full)) + full
    assert all(one + other > most for one, other in pairwise(full))


def test_padded_rows_are_left_as_they_are() -> None:
    padded = single(5, mask=True)
    padded["attention_mask"][0, -1] = 0
    two = [{"input_ids": torch.ones(2, 3), "labels": None}]
    for portions in ([padded, flat(3)], two, [single(3, mask=False)], []):
        assert all(one is other for one, other in zip(joined(portions, 99), portions, strict=True))


def skewed(count: int) -> list[dict[str, Any]]:
    """Chats, one of which is much longer than the others."""
    found: list[dict[str, Any]] = []
    for number in range(count):
        words = " ".join(WORDS[(number + n) % len(WORDS)] for n in range(20 if not number else 1))
        turns = (("user", f"Say {number}: {words}"), ("assistant", f"{number} {words}"))
        found.append({"messages": [{"role": role, "content": text} for role, text in turns]})
    return found


@pytest.mark.slow
def test_a_step_of_short_rows_is_few_passes_with_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case: dict[str, Any] = {"data": skewed(32), "training": {"batch_size": 8, "max_steps": 12}}
    expected, _ = run(tmp_path / "reference", "reference", **case)
    case["training"] = {"batch_size": 8, "max_steps": 12}
    sizes = count_passes(monkeypatch)
    found, log = run(tmp_path / "fast", "fast", **case)
    assert any("kernels: fast" in line for line in log)
    assert len(found) == len(expected) == 12
    for one, other in zip(found, expected, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
        assert one["num_tokens"] == other["num_tokens"]
    # By the longest row a portion has four rows; each step is one pass all the same.
    assert len(sizes) == 12


def pair(prompt: int, chosen: int, rejected: int) -> dict[str, list[int]]:
    """A pair with so many tokens, no two of which are alike."""
    sizes = {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
    return {
        name: [*range(100 * n + 1, 100 * n + size + 1)]
        for n, (name, size) in enumerate(sizes.items())
    }


COLLATE = DataCollatorForPreference(pad_token_id=0)
PAIRS = st.lists(
    st.builds(pair, st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    min_size=2,
    max_size=12,
)


@given(PAIRS, st.integers(1, 2), st.integers(1, 90))
def test_pairs_of_joined_portions_are_those_of_one_batch(
    given_pairs: list[dict[str, list[int]]], size: int, most: int
) -> None:
    rows = given_pairs[: len(given_pairs) // size * size]
    portions = [COLLATE(rows[start : start + size]) for start in range(0, len(rows), size)]
    found = pairs.joined(portions, most=most)
    assert len(found) == len(portions)
    full = [batch for batch in found if batch["input_ids"].numel()]
    assert sum(batch.get("portions", 1) for batch in full) == len(portions)
    start = 0
    for batch in full:
        count = batch.pop("portions", 1)
        expected = COLLATE(rows[start * size : (start + count) * size])
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in expected)
        start += count
    largest = max(int(portion["attention_mask"].sum()) for portion in portions)
    assert all(int(batch["attention_mask"].sum()) <= max(most, largest) for batch in full)


def test_portions_of_other_sizes_or_with_more_in_them_stay_as_they_are() -> None:
    three = [pair(2, n + 1, 1) for n in range(3)]
    uneven = [COLLATE(three[:2]), COLLATE(three[2:])]
    more = [{**COLLATE(three[:1]), "pixel_values": torch.ones(1)}, COLLATE(three[1:2])]
    for portions in (uneven, more, more[::-1], uneven[:1], []):
        found = pairs.joined(portions, most=99)
        assert all(one is other for one, other in zip(found, portions, strict=True))


def test_the_longest_pair_is_counted_with_its_longer_answer() -> None:
    rows = Dataset.from_list([pair(9, 1, 1), pair(2, 3, 10), pair(5, 4, 1)])
    assert longest_pair(rows) == 12


@pytest.mark.parametrize(
    ("objective", "loss_type", "alike"),
    [
        ("dpo", None, True),
        ("dpo", ["hinge"], True),
        ("dpo", "robust", True),
        ("ipo", ["ipo"], True),
        ("simpo", None, True),
        ("dpo", ["sigmoid", "sft"], False),
        ("dpo", ["aot"], False),
        ("orpo", None, False),
        ("cpo", None, False),
        ("kto", None, False),
        ("sft", None, False),
    ],
)
def test_only_means_over_pairs_are_joined(objective: str, loss_type: Any, alike: bool) -> None:
    trainer = {} if loss_type is None else {"loss_type": loss_type}
    assert pairs.weigh_alike({"objective": objective, "trainer": trainer}) is alike


def skewed_pairs(count: int) -> list[dict[str, str]]:
    """Pairs, one of which is much longer than the others."""
    found: list[dict[str, str]] = []
    for number in range(count):
        word, more = WORDS[number % len(WORDS)], " ".join(WORDS * 2) if not number else ""
        prompt = f"{number} {word} {more}"
        found.append({"prompt": prompt, "chosen": f" {word} {number}", "rejected": f" {number} no"})
    return found


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["dpo", "simpo"])
def test_a_step_of_short_pairs_is_few_passes_with_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    def case() -> dict[str, Any]:
        portions = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
        return {
            "data": skewed_pairs(32),
            "objective": objective,
            "training": {"batch_size": 8, "max_steps": 10},
            "extra": {"local": {"trainer": portions}},
        }

    expected, _ = run(tmp_path / "reference", "reference", **case())
    sizes = count_passes(monkeypatch)
    found, log = run(tmp_path / "fast", "fast", **case())
    assert any("kernels: fast" in line for line in log)
    assert len(found) == len(expected) == 10
    for one, other in zip(found, expected, strict=True):
        for name in ("loss", "rewards/margins", "rewards/accuracies", "logps/chosen"):
            assert one[name] == pytest.approx(other[name], abs=2e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
        assert one["num_tokens"] == other["num_tokens"]
    # Four portions of two pairs each are one pass: the longest pair decided over their size.
    assert len(sizes) == 10
