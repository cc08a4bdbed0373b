"""A plan prints well, in any width, and nothing in it can command the terminal or the page."""

from __future__ import annotations

import html.parser
import io
import json
import re

import pytest
from rich.console import Console

from tests.planning.setting import CPU, SMOL, rows
from tunekit.planning.defaults import resolve
from tunekit.planning.ledger import Ledger
from tunekit.planning.plan import Change, Estimate, Plan
from tunekit.planning.show import html as as_html
from tunekit.planning.show import text
from tunekit.spec.document import loads
from tunekit.spec.finetune import FineTune


def a_plan(*more: Change) -> Plan:
    return Plan(
        backend="fireworks",
        model="acme/small",
        summary="SFT with LoRA on 475 conversation rows, 25 held out",
        request={"learningRate": 1.8e-4},
        changes=(
            Change(
                field="training.warmup_ratio",
                outcome="adapted",
                asked=0.03,
                used=9,
                reason="Fireworks counts steps",
            ),
            Change(field="training.packing", outcome="dropped", asked=False, reason="its affair"),
            Change(
                field="training.learning_rate",
                outcome="auto",
                asked="auto",
                used=1.8e-4,
                reason="5e-4 x sqrt(16/128)",
                source="arXiv 2602.09492",
            ),
            *more,
        ),
        estimates=(Estimate(name="price", value=1.25, unit="USD", reason="0.50 per million"),),
        warnings=("only 20 rows",),
    )


REFUSED = Change(
    field="method.alpha", outcome="unsupported", asked=64.0, reason="Fireworks sets it"
)


def test_a_plan_prints_as_this_text() -> None:
    assert str(a_plan(REFUSED)) == (
        "Plan: acme/small on fireworks\n"
        "SFT with LoRA on 475 conversation rows, 25 held out\n"
        "\n"
        "Chosen automatically\n"
        "  training.learning_rate  1.8e-4  5e-4 x sqrt(16/128) [arXiv 2602.09492]\n"
        "\n"
        "Cannot be honoured\n"
        "  method.alpha  64  Fireworks sets it\n"
        "\n"
        "Changed for this backend\n"
        "  training.warmup_ratio  0.03 → 9  Fireworks counts steps\n"
        "\n"
        "Left out\n"
        "  training.packing  false  its affair\n"
        "\n"
        "Estimates\n"
        "  price  1.25 USD  0.50 per million\n"
        "\n"
        "Warnings\n"
        "  !    only 20 rows\n"
        "\n"
        "What cannot be honoured stops the run: remove it, choose another backend, or go on "
        "without it\n"
        "(--no-strict)."
    )


def planned() -> Plan:
    spec = FineTune(model="embedded:smollm2-135m", data="support.jsonl")
    changes = resolve(spec, SMOL, rows(475), CPU)
    ledger = Ledger(spec, changes)
    for name in ("model", *changes):
        ledger.take(name)
    ledger.hold("data")
    return ledger.close({}, backend="local", data=rows(475))


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal_and_no_field_is_cut(width: int) -> None:
    plan = planned()
    lines = text(plan, width=width).splitlines()
    assert max(map(len, lines)) <= width
    shown = {line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "}
    assert {change.field for change in plan.changes} <= shown


def test_the_hint_can_be_typed_as_it_stands() -> None:
    hint = text(planned()).splitlines()[-1]
    override = hint.partition("--set ")[2]
    spec = loads("model: m\ndata: d\n", overrides=[override]).spec
    assert spec.training.learning_rate == planned().used("training.learning_rate")


def test_a_plan_without_changes_says_so() -> None:
    plan = Plan(backend="local", model="acme/small", request={})
    assert str(plan) == ("Plan: acme/small on local\n\nEverything goes to the backend as written.")


def test_the_request_is_shown_when_asked_for() -> None:
    shown = text(a_plan(), verbose=True)
    assert json.loads(shown.partition("Request\n")[2]) == {"learningRate": 1.8e-4}
    assert "Request" not in text(a_plan())


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in str(a_plan(REFUSED))
    out = io.StringIO()
    terminal = Console(
        file=out, force_terminal=True, color_system="standard", no_color=False, width=100
    )
    terminal.print(a_plan(REFUSED))
    assert re.search(r"\x1b\[(1;)?31m[^\x1b]*method\.alpha", out.getvalue())


EVIL = "[red]</td><script>alert(1)</script>\x1b]0;title\x07\x1b[2J&amp;"


def evil() -> Plan:
    change = Change(field=EVIL, outcome="auto", used=EVIL, reason=EVIL, source=EVIL)
    estimate = Estimate(name=EVIL, value=1, unit=EVIL, reason=EVIL)
    return Plan(
        backend=EVIL,
        model=EVIL,
        summary=EVIL,
        request={EVIL: EVIL},
        changes=(change, *(change.model_copy(update={"outcome": "unsupported"}),)),
        estimates=(estimate,),
        warnings=(EVIL,),
    )


def test_text_from_outside_is_shown_and_never_obeyed() -> None:
    shown = text(evil(), verbose=True, width=400)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.count("[red]</td><script>alert(1)</script>&amp;") >= 8


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_only_its_own_tags() -> None:
    page = _Tags()
    page.feed(evil()._repr_html_())
    assert page.seen == {"div", "p", "b", "br", "table", "tr", "td", "code", "small"}
    assert "<script>alert(1)</script>&amp;" in page.text
    assert "\x1b" not in page.text


def test_the_page_says_what_the_text_says() -> None:
    page = _Tags()
    page.feed(as_html(a_plan(REFUSED)))
    for words in (
        "Plan: acme/small on fireworks",
        "1.8e-4",
        "arXiv 2602.09492",
        "method.alpha",
        "0.03 → 9",
        "1.25 USD",
        "only 20 rows",
        "--no-strict",
    ):
        assert words in page.text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.8e-4, "1.8e-4"),
        (5e-7, "5e-7"),
        (1e-3, "0.001"),
        (2.0, "2"),
        (True, "true"),
        (None, "null"),
        ("all-linear", "all-linear"),
        (["q_proj", "v_proj"], '["q_proj", "v_proj"]'),
        (131_072_000.0, "131,072,000"),
        ("x" * 100, "x" * 45 + "..."),
    ],
)
def test_a_value_is_written_as_it_would_be_set(value: object, shown: str) -> None:
    change = Change(field="a.b", outcome="auto", used=value, reason="because")
    plan = Plan(backend="local", model="m", request={}, changes=(change,))
    assert f"--set a.b={shown}" in text(plan, width=200)
