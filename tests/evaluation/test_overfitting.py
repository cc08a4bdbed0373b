"""Rows learnt by heart, told from rows that are merely easy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evaluation.rows import labelled
from tunekit.data.tokens import Tokens
from tunekit.evaluation.forward import Scored, score
from tunekit.evaluation.overfitting import overfitted, recited, share


def rows(count: int, *, loss: float, by_heart: int = 0, length: int = 20) -> list[Scored]:
    """Rows with this loss per token, the first so many of them said word for word."""
    return [
        Scored(loss * length, length, tuple(n < by_heart or k % 2 == 0 for k in range(length)))
        for n in range(count)
    ]


def test_an_answer_is_by_heart_where_a_greedy_decoder_would_write_it(model: Any) -> None:
    """Let the model continue a prompt greedily: that answer is recited, and no other one."""
    import torch

    asked = [5, 9, 17, 33]
    ids = torch.tensor([asked])
    made = model.eval().generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=None)
    said = [int(token) for token in made[0, len(asked) :]]
    changed = [*said[:16], (said[16] + 1) % 300, *said[17:]]
    begun = [(said[0] + 1) % 300, *said[1:]]
    found = score(
        model,
        [Tokens([*asked, *row], [-100] * len(asked) + row) for row in (said, changed, begun)],
    )
    assert recited(found[0]) is True
    assert recited(found[1]) is False
    assert found[0].right == (True,) * 24
    assert begun[0] != said[0]
    assert found[2].right[0] is False


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ([True] * 20, True),
        ([False] * 5 + [True] * 15, True),
        ([True] * 5 + [False] + [True] * 14, False),
        # Only the next fifty tokens are looked at.
        ([True] * 80 + [False] * 20, True),
        ([True] * 10, None),
        ([], None),
    ],
)
def test_the_first_quarter_is_given_and_fifty_tokens_must_follow(
    right: list[bool], said: bool | None
) -> None:
    assert recited(Scored(1.0, len(right), tuple(right))) is said


def test_short_answers_say_nothing() -> None:
    assert share([Scored(1.0, 3, (True,) * 3)] * 5) == 0
    assert share([Scored(1.0, 3, (True,) * 3), Scored(1.0, 30, (True,) * 30)]) == 1


@pytest.mark.parametrize(
    ("train", "held_out", "status"),
    [
        (rows(50, loss=1.0), rows(50, loss=1.1), "pass"),
        (rows(50, loss=1.0), rows(50, loss=1.5), "warn"),
        (rows(50, loss=0.4), rows(50, loss=1.5), "fail"),
        # Twice as large and still next to nothing.
        (rows(50, loss=0.03), rows(50, loss=0.08), "pass"),
        (rows(50, loss=1.0, by_heart=15), rows(50, loss=1.0), "warn"),
        (rows(50, loss=1.0, by_heart=40), rows(50, loss=1.0), "fail"),
        # Rows that are all alike are said word for word, held out or not.
        (rows(50, loss=1.0, by_heart=40), rows(50, loss=1.0, by_heart=40), "pass"),
    ],
    ids=["none", "gap", "wide gap", "small losses", "some", "most", "easy rows"],
)
def test_training_rows_are_judged_by_held_out_rows(
    train: list[Scored], held_out: list[Scored], status: str
) -> None:
    found = overfitted(train, held_out)
    assert found is not None
    assert found.status == status
    assert bool(found.advice) == (status != "pass")
    assert found.verbatim_train == share(train)


def test_private_data_by_heart_is_a_failure() -> None:
    train = rows(50, loss=1.0, by_heart=2)
    passed = overfitted(train, rows(50, loss=1.0))
    failed = overfitted(train, rows(50, loss=1.0), private=[1, 7])
    assert passed and failed
    assert (passed.status, failed.status) == ("pass", "fail")
    assert "1 rows with secrets or personal data" in failed.advice[0]


def test_a_held_out_loss_that_has_risen_is_a_warning() -> None:
    train, held_out = rows(50, loss=1.0), rows(50, loss=1.1)
    fell = overfitted(train, held_out, curve=[1.5, 1.2, 1.1])
    rose = overfitted(train, held_out, curve=[1.5, 1.0, 1.1])
    assert fell and rose
    assert (fell.status, rose.status) == ("pass", "warn")
    assert "early_stopping" in rose.advice[0]


def test_without_losses_nothing_is_said() -> None:
    assert overfitted([], rows(3, loss=1.0)) is None
    assert overfitted(rows(3, loss=float("nan")), rows(3, loss=1.0)) is None


def test_every_label_has_its_mark(model: Any) -> None:
    for row, found in zip(labelled(5), score(model.eval(), labelled(5)), strict=True):
        assert found.count == sum(label != -100 for label in row.labels[1:])
