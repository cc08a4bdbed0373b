"""The page of a run: it says what is there, is valid, small, and nothing in it can run."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from tests.report import hostile, made
from tests.report.injections import MARK, TEXTS
from tests.report.pages import active, parsed, section, text_of, words
from tunekit import store
from tunekit.evaluation.verdict import Gate
from tunekit.events import EvaluationEvent, JobState
from tunekit.report.clean import clean

PARTS = "result answers forgetting overfitting rank training data plan log again".split()


def test_a_page_begins_with_the_verdict_and_has_every_part() -> None:
    tree = parsed(text_of(made.run()))

    assert [part for part in PARTS if section(tree, part) is None] == []
    said = words(tree)
    assert said.startswith(
        "Fine-tuning run support Improved Held-out loss went from 2.31 to 0.61 nats/token: "
        "\u22121.70, 95 % interval \u22121.81 to \u22121.59, over 50 held-out items. "
        "Gate passed Forgetting warn Overfitting pass Rank too large"
    )


def test_every_figure_stands_with_its_interval() -> None:
    tree = parsed(text_of(made.run()))

    result = section(tree, "result")
    assert result is not None
    rows = [" ".join(" ".join(row.itertext()).split()) for row in result.iter("tr")]
    assert (
        "Exact match higher is better · 50 items in 48 groups 2.0 % 74.0 % +72.0 pts "
        "+60.0 to +84.0 improved"
    ) in rows
    assert any(row.endswith("\u22120.11 to +0.07 no detectable change") for row in rows)
    assert all(each.get("aria-label") for each in tree.iter("{http://www.w3.org/2000/svg}svg"))


def test_what_is_not_there_is_left_out() -> None:
    folder = store.create(made.record("bare", data={}, versions={}, name=None))

    tree = parsed(text_of(folder))

    assert [part for part in PARTS if section(tree, part) is not None] == ["plan", "again"]
    assert "Base and tuned model were not compared." in words(tree)


def test_a_comparison_without_intervals_gives_figures_and_no_verdict() -> None:
    folder = store.create(made.record("old"))
    plain = made.comparison(
        differences=(), forgetting=None, overfitting=None, rank=None, gate=None, seconds=0.0
    )
    made.append(folder, [EvaluationEvent(result=plain.model_dump(mode="json"))])

    said = words(parsed(text_of(folder)))

    assert "Trained Held-out loss went from 2.31 to 0.61 nats/token" in said
    assert "without an interval this is no verdict" in said
    assert "mproved" not in said


def test_a_failed_run_says_why_first() -> None:
    folder = store.create(
        made.record("lost", state=JobState.FAILED, reason="the disk is full", log="No space left")
    )

    tree = parsed(text_of(folder))

    assert words(tree).startswith("Fine-tuning run support Failed the disk is full")
    log = section(tree, "log")
    assert log is not None
    assert "No space left" in "".join(log.itertext())


def test_a_gate_that_is_not_passed_gives_its_reasons() -> None:
    folder = store.create(made.record("gated"))
    gate = Gate(passed=False, reasons=("forgetting is `fail`, the spec asks for warn",))
    made.append(
        folder, [EvaluationEvent(result=made.comparison(gate=gate).model_dump(mode="json"))]
    )

    tree = parsed(text_of(folder))

    assert "Gate not passed" in words(tree)
    assert "fail" in [code.text for code in tree.iter("code")]


def test_the_largest_gains_and_losses_are_shown() -> None:
    tree = parsed(text_of(made.run()))

    answers = section(tree, "answers")
    assert answers is not None
    said = " ".join(" ".join(answers.itertext()).split())
    better, worse = said.split("What got worse most")
    assert better.count("Prompt") == 3
    assert "Where is order 1005?" in worse


def test_how_to_do_it_again_is_a_spec_with_versions_and_hashes() -> None:
    tree = parsed(text_of(made.run()))

    again = section(tree, "again")
    assert again is not None
    spec, commands = (pre.text or "" for pre in again.iter("pre"))
    assert "learning_rate: 0.001" in spec
    assert "backend: local" in spec
    assert "tunekit-sdk==0.1.0 \\\n  torch==2.13.0" in commands
    assert "tunekit run support.yaml" in commands
    assert f"sha256 {'a' * 64}" in " ".join(again.itertext())


def test_no_text_of_others_becomes_anything_active() -> None:
    assert len(TEXTS) == len(set(TEXTS)) == 40
    for folders in ((hostile.run("one"),), (hostile.run("two", JobState.FAILED),)):
        tree = parsed(text_of(*folders))
        assert list(active(tree)) == []
        said = "".join(tree.itertext())
        missing = [text for text in TEXTS if clean(text).strip() not in said]
        assert missing == []

    several = parsed(text_of(hostile.run("three"), hostile.run("four"), made.run()))
    assert list(active(several)) == []


def test_an_active_element_would_be_found() -> None:
    page = text_of(made.run()).replace("</main>", f"<img src=x onerror={MARK}></main>")

    assert list(active(parsed(page))) == ["<img>", "img src=x", f"img onerror={MARK}"]


def test_the_policy_allows_the_one_style_sheet_and_nothing_else() -> None:
    page = text_of(made.run())

    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    metas = [meta for meta in parsed(page).iter("meta") if meta.get("http-equiv")]
    assert [meta.get("content") for meta in metas] == [policy]
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_a_page_names_no_address() -> None:
    page = text_of(made.run()) + text_of(made.run("other"), made.run("third"))

    assert re.findall(r"\w+://", page) == []


@pytest.mark.parametrize("steps", [1, 4_000])
def test_a_page_stays_small_however_long_the_run(steps: int) -> None:
    folder = store.create(made.record("long"))
    made.append(folder, made.measured(steps))

    page = text_of(folder)

    assert parsed(page)
    assert len(page.encode()) < 300_000


def test_several_runs_are_compared_in_one_page() -> None:
    hot = {**made.record("x").spec, "training": {"learning_rate": 2e-2}}
    runs = (made.run(), made.run("hot", name="hot", spec=hot))

    tree = parsed(text_of(*runs))

    said = words(tree)
    assert said.startswith("Fine-tuning runs 2 runs compared support Improved")
    settings = section(tree, "settings")
    assert settings is not None
    rows = ["|".join(cell.strip() for cell in row.itertext()) for row in settings.iter("tr")]
    assert "training.learning_rate|0.001|0.02" in rows
    assert "training.batch_size|8|auto" in rows
    assert not any("model" in row for row in rows)
