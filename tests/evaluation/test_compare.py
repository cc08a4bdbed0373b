"""The comparison: what it holds, and how it prints."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from tunekit.errors import SpecError
from tunekit.evaluation.compare import Comparison, Measurement, compare
from tunekit.evaluation.differences import Clusters

REFERENCE = '{"category": "billing"}'


def made(count: int = 50, **changes: Any) -> Comparison:
    """Two of fifty answers are JSON before, 49 after."""
    base = Measurement(
        loss=2.31, perplexity=10.07, tokens=1234, answers=(*["{}"] * 2, *["hm"] * (count - 2))
    )
    tuned = Measurement(
        loss=1.02, perplexity=2.77, tokens=1234, answers=("hm", *[REFERENCE] * (count - 1))
    )
    given: dict[str, Any] = {"prompts": ["What?"] * count, "references": [REFERENCE] * count}
    return compare(base, tuned, **{**given, **changes})


def test_the_verdict_comes_first_and_every_number_with_its_interval() -> None:
    assert str(made(examples=0)).splitlines() == [
        "improved: json_values 0.00 -> 0.98, +0.98 (95 %: +0.94 to +1.00), n = 50",
        "",
        "json_values    0.00 -> 0.98             +0.98 (95 %: +0.94 to +1.00), n = 50",
        "exact_match    0 % -> 98 %              +98 points (95 %: +94 to +100), n = 50",
        "json_valid     4 % -> 98 %              +94 points (95 %: +85 to +100), n = 50",
        "json_schema    0 % -> 98 %              +98 points (95 %: +94 to +100), n = 50",
        "json_keys      0 % -> 98 %              +98 points (95 %: +94 to +100), n = 50",
        "held-out loss  2.31 -> 1.02 (-55.8 %)   1,234 tokens",
        "perplexity     10.07 -> 2.77 (-72.5 %)",
    ]


def test_answers_are_printed_side_by_side() -> None:
    lines = str(made()).splitlines()
    first = lines.index("example 1")
    assert lines[first : first + 5] == [
        "example 1",
        "prompt     What?",
        f"reference  {REFERENCE}",
        "base       {}",
        "tuned      hm",
    ]
    assert [line for line in lines if line.startswith("example")] == [
        "example 1",
        "example 2",
        "example 3",
    ]


def test_long_texts_are_clipped_prompts_at_their_beginning() -> None:
    long = "first " + "word " * 400 + "last"
    base = Measurement(loss=1.0, perplexity=2.7, tokens=1, answers=(long,))
    text = str(compare(base, base, prompts=[long], references=[long]))
    assert max(map(len, text.splitlines())) <= 80
    by_label = {line.split()[0]: line for line in text.splitlines() if line[:1].isalpha()}
    assert by_label["prompt"].startswith("prompt     ... ")
    assert by_label["base"].startswith("base       first word")
    prompt = text[text.index("prompt") : text.index("reference")]
    assert prompt.rstrip().endswith("last")
    assert text.rstrip().endswith("...")
    assert len(text.splitlines()) <= 26


@pytest.mark.parametrize(
    "evil", ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\rb", "\x9b31m", "\u202eabc", "\x00"]
)
def test_what_commands_a_terminal_is_taken_out_of_a_model_s_text(evil: str) -> None:
    base = Measurement(loss=1.0, perplexity=2.7, tokens=1, answers=(evil,))
    found = compare(base, base, prompts=[evil], references=[evil])
    console = Console(width=90, color_system=None)
    with console.capture() as shown:
        console.print(found)
    for text in (str(found), shown.get(), found._repr_html_()):
        assert not set(text) & set("\x1b\x9b\x07\r\x00\u202e")


def test_markup_of_a_model_is_shown_as_text() -> None:
    evil = "[red]<script>alert(1)</script>[/red]"
    base = Measurement(loss=1.0, perplexity=2.7, tokens=1, answers=(evil,))
    found = compare(base, base, prompts=[evil], references=[evil])
    assert "<script>" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()
    console = Console(width=90)
    with console.capture() as shown:
        console.print(found)
    assert evil in shown.get()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_a_terminal_of_any_width(width: int) -> None:
    console = Console(width=width)
    with console.capture() as shown:
        console.print(made())
    assert max(map(len, shown.get().splitlines())) <= width
    assert "1.02" in shown.get()


def test_it_is_json_and_back() -> None:
    wanted = made()
    text = json.dumps(wanted.model_dump(mode="json"), allow_nan=False)
    assert Comparison.model_validate(json.loads(text)) == wanted


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_said_to_be_so(loss: float) -> None:
    base = Measurement(loss=2.0, perplexity=7.39, tokens=5)
    tuned = Measurement(loss=loss, perplexity=loss, tokens=5)
    found = compare(base, tuned, prompts=[], references=[])
    assert "held-out loss  2.00 -> not finite" in str(found)
    text = json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert Comparison.model_validate(json.loads(text)) == found


def test_pairs_are_counted_by_what_is_likelier_and_by_what_gained() -> None:
    base = Measurement(loss=1.0, tokens=4, pairs=((-5.0, -4.0), (-3.0, -6.0), (-2.0, -1.0)))
    tuned = Measurement(loss=0.9, tokens=4, pairs=((-5.0, -9.0), (-4.0, -6.5), (-1.5, -1.0)))
    assert base.preference_accuracy == pytest.approx(1 / 3)
    assert tuned.preference_accuracy == pytest.approx(2 / 3)
    found = compare(base, tuned, prompts=[], references=[])
    # The gains are 0 and -5, -1 and -0.5, 0.5 and 0.
    assert found.preference_accuracy == pytest.approx(2 / 3)
    assert re.search(r"chosen is likelier +33 % -> 67 %", str(found))
    assert re.search(r"chosen gained more +67 %", str(found))
    assert "n = 3; 95 %:" in str(found)


def test_without_pairs_there_is_no_preference() -> None:
    assert made().preference_accuracy is None
    assert made().base.preference_accuracy is None


def test_one_answer_is_scored_without_an_interval() -> None:
    base = Measurement(loss=1.0, tokens=1, answers=("no idea",))
    tuned = Measurement(loss=1.0, tokens=1, answers=("in Paris",))
    found = compare(base, tuned, prompts=["Where?"], references=["Paris"])
    assert (found.differences, found.verdict) == ((), None)
    assert re.search(r"^word_f1 +0\.00 -> 0\.67 +n = 1$", str(found), re.MULTILINE)


def answered(answers: list[str], rows: list[float] | None = None) -> Measurement:
    """A measurement of these answers, and of rows of ten tokens with these losses per token."""
    losses = rows or []
    return Measurement(
        loss=sum(losses) / len(losses) if losses else None,
        tokens=10 * len(losses),
        rows=tuple((10 * loss, 10) for loss in losses),
        answers=tuple(answers),
    )


def compared(base: Measurement, tuned: Measurement, references: list[str], **more: Any) -> Any:
    return compare(base, tuned, prompts=["?"] * len(references), references=references, **more)


LABELS = ["billing", "delivery", "repair"] * 20
REQUESTS = [
    f'{{"topic": "{label}", "urgent": {str(n % 2 == 0).lower()}}}' for n, label in enumerate(LABELS)
]


def shuffled(references: list[str]) -> list[str]:
    return random.Random(5).sample(references, len(references))


@pytest.mark.parametrize("references", [LABELS, REQUESTS], ids=["labels", "json"])
def test_a_model_that_has_learnt_the_form_alone_has_not_improved(references: list[str]) -> None:
    chat = answered(["Let me see what I can do for you."] * 60)
    found = compared(chat, answered(shuffled(references)), references)
    first = found.differences[0]
    assert first.tuned > first.base + 0.2
    assert first.low > 0
    assert found.verdict == "no detectable change"
    assert "of other rows" in first.note
    assert first.note[:40] in str(found).replace("\n    ", " ")
    assert compared(chat, answered(references), references).verdict == "improved"


def test_labels_are_judged_by_accuracy_then_macro_f1() -> None:
    found = compared(answered(["billing"] * 60), answered(LABELS), LABELS)
    assert [difference.name for difference in found.differences] == ["accuracy", "macro_f1"]
    assert found.differences[0].base == pytest.approx(1 / 3)
    # The largest class alone: F1 of 1/2 for one label of three.
    assert found.differences[1].base == pytest.approx(0.5 / 3)
    assert found.confusion.labels[:3] == ("billing", "delivery", "repair")
    assert found.verdict == "improved"


def test_prose_is_judged_by_its_loss() -> None:
    references = [f"Answer {n} in a sentence of its own." for n in range(20)]
    worse = [1.2 + n / 100 for n in range(20)]
    found = compared(answered([""] * 20, [1.0] * 20), answered([""] * 20, worse), references)
    assert found.differences[0].name == "loss"
    assert found.verdict == "regressed"
    assert found.differences[0].base == pytest.approx(1.0)
    assert found.differences[0].change == pytest.approx(0.295)


def test_few_answers_leave_the_verdict_to_the_loss() -> None:
    rows = [2.0 + n / 50 for n in range(30)]
    found = compared(
        answered(["{}"] * 8, rows), answered(['{"a": 1}'] * 8, [1.0] * 30), ['{"a": 1}'] * 8
    )
    assert [difference.name for difference in found.differences[:2]] == ["loss", "json_values"]


def test_the_metrics_that_are_asked_for_come_in_their_order() -> None:
    found = compared(
        answered(["a"] * 10, [1.0] * 10),
        answered(["b"] * 10, [0.5] * 10),
        ["b"] * 10,
        metrics=["exact_match", "loss", "preference_accuracy"],
    )
    assert [difference.name for difference in found.differences] == ["exact_match", "loss"]
    assert found.items["exact_match"] == ((0.0, 1.0),) * 10


def test_a_function_of_the_users_may_decide() -> None:
    base, tuned = answered(["ab"] * 10), answered(["abcd"] * 10)
    found = compared(base, tuned, ["x"] * 10, metrics=["tests.evaluation.rows:longer"])
    first = found.differences[0]
    assert (first.name, first.base, first.tuned, first.unit) == ("longer", 1.0, 3.0, "value")


def test_near_copies_count_as_one() -> None:
    rows = [1.0] * 20
    better = [0.9] * 20
    alone = compared(answered([], rows), answered([], better), [])
    tied = compared(
        answered([], rows), answered([], better), [], clusters=Clusters(rows=[0] * 10 + [1] * 10)
    )
    assert (alone.differences[0].clusters, tied.differences[0].clusters) == (20, 2)


@pytest.mark.parametrize(
    "other",
    [
        Measurement(loss=1.0, tokens=4, answers=("a",)),
        Measurement(loss=1.0, tokens=3, answers=()),
        Measurement(loss=1.0, tokens=3, answers=("a",), pairs=((0.0, 0.0),)),
    ],
    ids=["tokens", "answers", "pairs"],
)
def test_measurements_of_different_rows_are_not_compared(other: Measurement) -> None:
    base = Measurement(loss=1.0, tokens=3, answers=("a",))
    with pytest.raises(SpecError, match="measured on different rows"):
        compare(base, other, prompts=["p"], references=["r"])


def test_nothing_measured_prints_nothing() -> None:
    assert str(compare(Measurement(), Measurement(), prompts=[], references=[])) == ""


def test_reading_and_printing_a_comparison_loads_no_training_library() -> None:
    code = (
        "import sys; from tunekit.evaluation.compare import Comparison\n"
        "print(Comparison.model_validate_json(sys.argv[1]))\n"
        "print([n for n in ('torch', 'transformers', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, made().model_dump_json()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
