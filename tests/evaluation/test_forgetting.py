"""What was forgotten: measured as by hand, and judged by published limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunekit.evaluation import general, observe
from tunekit.evaluation.forgetting import Divergence, Losses, Profile, Trained, judge
from tunekit.evaluation.observe import Observer
from tunekit.evaluation.verdict import Forgetting, Signal


def observed(tuned: Any, tokenizer: Any, **more: Any) -> tuple[Observer, Losses, list[Divergence]]:
    """Observe the base of a PEFT model, then the model itself."""
    observer = Observer(tokenizer, 6, length=12, **more)
    with tuned.disable_adapter():
        observer.base(tuned)
    return observer, *observer.tuned(tuned)


def by_hand(tuned: Any, row: Any) -> tuple[float, float, Any]:
    """Give base and tuned loss of a row, summed, and the divergence at each label, unpadded."""
    import torch

    ids, labels = torch.tensor([row.input_ids]), torch.tensor([row.labels])
    with torch.no_grad():
        found = tuned.eval()(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
        with tuned.disable_adapter():
            expected = tuned(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
    at = labels[0, 1:] != -100
    chosen = labels[0, 1:][at][:, None]
    losses = [-float(side[at].gather(1, chosen).sum()) for side in (expected, found)]
    divergence = (expected.exp() * (expected - found)).sum(-1)[at]
    return losses[0], losses[1], divergence


def test_it_is_what_a_direct_computation_gives(tuned: Any, tokenizer: Any) -> None:
    observer, losses, divergences = observed(tuned, tokenizer)
    for n, passage in enumerate(general.passages(tokenizer, 6)):
        base, after, _ = by_hand(tuned, passage)
        count = len(passage.input_ids) - 1
        assert losses.base[n] == (pytest.approx(base, abs=1e-6 * count), count)
        assert losses.tuned[n] == (pytest.approx(after, abs=1e-6 * count), count)
    said = {row.tokens: row for row in divergences}
    assert said
    for row in observer._said:
        _, _, wanted = by_hand(tuned, row)
        found = [each for each in divergences if each.tokens == len(wanted)]
        assert any(
            each.divergence / each.tokens == pytest.approx(float(wanted.mean()), abs=1e-6)
            for each in found
        )


def test_the_divergence_is_that_of_torch() -> None:
    import torch

    pick = torch.Generator().manual_seed(2)
    logits = 4 * torch.randn(40, 50, generator=pick)
    noise = 2 * torch.randn(40, 50, generator=pick)
    base, tuned = logits.log_softmax(-1), (logits + noise).log_softmax(-1)
    found = observe.diverged(base, tuned)
    wanted = torch.nn.functional.kl_div(tuned, base, log_target=True, reduction="sum")
    assert found.divergence == pytest.approx(float(wanted), rel=1e-5)
    sure = base.exp().max(-1).values > 0.5
    same = base.argmax(-1) == tuned.argmax(-1)
    assert (found.tokens, found.sure) == (40, int(sure.sum()))
    assert found.agreed == int((sure & same).sum())
    assert 0 < found.agreed < found.sure < 40


def test_a_model_has_forgotten_nothing_of_itself(model: Any, tokenizer: Any) -> None:
    observer = Observer(tokenizer, 6, length=12)
    observer.base(model)
    losses, divergences = observer.tuned(model)
    assert losses.base == losses.tuned
    assert all(abs(row.divergence) < 1e-9 for row in divergences)
    assert all(row.agreed == row.sure for row in divergences)
    found = judge(losses, divergences, profile="assistant", trained=Trained(adapter=True))
    assert found is not None
    assert (found.status, found.advice) == ("pass", ())


def test_observing_draws_no_random_number(model: Any, tokenizer: Any) -> None:
    import torch

    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    Observer(tokenizer, 2, length=4).base(model)
    assert torch.rand(4).equal(wanted)


def test_what_a_base_says_is_drawn_once_and_kept(tuned: Any, tokenizer: Any, home: Path) -> None:
    first, _, once = observed(tuned, tokenizer, key="a")
    kept = list((home / "cache" / "said").iterdir())
    assert len(kept) == 1
    kept[0].write_text(json.dumps([[5, 6, 7]] * 6))
    second, _, twice = observed(tuned, tokenizer, key="a")
    assert [row.tokens for row in twice] == [3] * 6
    assert [row.tokens for row in once] != [3] * 6
    other, _, _ = observed(tuned, tokenizer, key="b")
    assert [row.input_ids for row in other._said] == [row.input_ids for row in first._said]
    assert second._said != first._said


def test_what_a_base_says_is_drawn_from_its_own_distribution(model: Any, tokenizer: Any) -> None:
    """The mean of the log-ratio on samples is the divergence: here of the base to itself at 2 T."""
    import torch

    from tunekit.evaluation.generate import samples

    prompts = [[5, 6, 7]] * 400
    said = samples(model.eval(), tokenizer, prompts, length=1, seed=9)
    with torch.no_grad():
        wanted = model(torch.tensor([[5, 6, 7]])).logits[0, -1].softmax(-1)
    ends = {tokenizer.eos_token_id}
    drawn = torch.zeros(len(wanted))
    for row in said:
        drawn[row[0] if row else min(ends)] += 1 / len(said)
    likely = wanted.topk(5).indices
    error = (wanted[likely] * (1 - wanted[likely]) / len(said)).sqrt()
    assert ((drawn[likely] - wanted[likely]).abs() < 4 * error).all()


def loss(change: float) -> Losses:
    """Ten passages of ten tokens whose loss changes by as much per token."""
    rows = [20.0 + n for n in range(10)]
    return Losses([(row, 10) for row in rows], [(row + 10 * change, 10) for row in rows])


def moved(divergence: float, agreed: int) -> list[Divergence]:
    return [Divergence(10 * divergence + n / 1e6, 10, 10, agreed) for n in range(10)]


def judged(
    change: float,
    divergence: float = 0.0,
    agreed: int = 10,
    *,
    profile: Profile = "assistant",
    **trained: Any,
) -> tuple[Forgetting, dict[str, Signal]]:
    how = Trained(**{"adapter": True, **trained})
    found = judge(loss(change), moved(divergence, agreed), profile=profile, trained=how)
    assert found is not None
    return found, {sign.name: sign for sign in found.signals}


@pytest.mark.parametrize(
    ("lost", "status"),
    # Change of the loss on Wikipedia, PEFT method_comparison: LoRA r=32, rsLoRA r=64, prefix.
    [(0.050, "pass"), (0.111, "warn"), (1.79, "fail"), (-0.2, "pass")],
)
def test_a_published_loss_is_judged(lost: float, status: str) -> None:
    found, signs = judged(lost)
    assert signs["general_loss"].value == pytest.approx(lost)
    assert (signs["general_loss"].status, found.status) == (status, status)


@pytest.mark.parametrize(
    ("divergence", "agreed", "assistant", "specialist"),
    [
        (0.05, 10, "pass", "pass"),
        (0.15, 10, "warn", "pass"),
        (0.45, 10, "fail", "warn"),
        (0.05, 8, "warn", "pass"),
        (0.05, 7, "fail", "warn"),
        (0.65, 5, "fail", "fail"),
    ],
)
def test_a_specialist_may_forget_twice_as_much(
    divergence: float, agreed: int, assistant: str, specialist: str
) -> None:
    assert judged(0.0, divergence, agreed)[0].status == assistant
    assert judged(0.0, divergence, agreed, profile="specialist")[0].status == specialist


def test_the_worst_sign_decides_and_says_what_to_try() -> None:
    found, signs = judged(0.0, 0.5, 10, learning_rate=1e-3)
    assert [sign.status for sign in signs.values()] == ["pass", "fail", "pass"]
    assert found.status == "fail"
    assert any("tunekit mitigate" in line for line in found.advice)
    assert any("0.0005" in line for line in found.advice)
    whole, _ = judged(0.0, 0.5, 10, adapter=False)
    assert not any("mitigate" in line for line in whole.advice)


def test_nothing_is_advised_that_was_done() -> None:
    first, _ = judged(0.0, 0.9, 10, epochs=3)
    assert "training.replay: {source: general, ratio: 0.1} mixes general chats in" in first.advice
    assert any(line.startswith("training.epochs: 1") for line in first.advice)
    done, _ = judged(0.0, 0.9, 10, epochs=1, replay=("self", 0.25), profile="specialist")
    assert not any(line.startswith(("training.epochs", "evaluation")) for line in done.advice)
    assert [line for line in done.advice if "replay" in line] == [
        "training.replay: {source: self, ratio: 0.5}, more than the 0.25 of this run"
    ]
    most, _ = judged(0.0, 0.9, 10, epochs=1, replay=("self", 1.0))
    assert not any("replay" in line for line in most.advice)


def test_every_sign_has_its_interval() -> None:
    _, signs = judged(0.2, 0.1, 9)
    for sign in signs.values():
        assert sign.low - 1e-9 <= sign.value <= sign.high + 1e-9
    assert (signs["agreement"].value, signs["agreement"].better) == (pytest.approx(0.9), "higher")


def test_where_nothing_was_measured_nothing_is_said() -> None:
    assert judge(Losses([], []), [], profile="assistant", trained=Trained(adapter=True)) is None


def test_the_texts_are_many_and_name_their_source() -> None:
    texts = general.everything()
    for kind in ("passage", "prompt"):
        held = [text for text in texts if text.kind == kind]
        assert len(held) == 64
        assert len({text.text for text in held}) == 64
        areas = {text.area for text in held}
        assert len(areas) >= 8
        # Any first part has all of them.
        assert {text.area for text in held[:16]} == areas
    assert all(text.source for text in texts)


def test_no_prompt_that_is_measured_is_replayed() -> None:
    from tunekit.data import replay

    measured = {text.text for text in general.everything()}
    assert len(replay.chats()) == 64
    assert not measured & {prompt for prompt, _ in replay.chats()}
