"""Which conditions hold, and what is said where one does not."""

from __future__ import annotations

from typing import Any

import pytest

from tunekit.evaluation.compare import Comparison, Measurement
from tunekit.evaluation.gate import conditions, passes
from tunekit.evaluation.verdict import Difference, Forgetting, Overfitting
from tunekit.spec.evaluation import Evaluation


def compared(verdict: str = "improved", forgotten: str = "pass", heart: str = "pass") -> Comparison:
    low, high = {"improved": (0.1, 0.3), "regressed": (-0.3, -0.1)}.get(verdict, (-0.1, 0.1))
    difference = Difference(
        name="exact_match",
        unit="share",
        better="higher",
        base=0.5,
        tuned=0.5 + (low + high) / 2,
        low=low,
        high=high,
        detectable=0.1,
        items=80,
        clusters=80,
        verdict=verdict,  # type: ignore[arg-type]
    )
    return Comparison(
        base=Measurement(loss=2.0, perplexity=7.4, tokens=9),
        tuned=Measurement(loss=1.5, perplexity=4.5, tokens=9),
        differences=(difference,),
        forgetting=Forgetting(profile="assistant", signals=(), status=forgotten),  # type: ignore[arg-type]
        overfitting=Overfitting(
            train_loss=1.0,
            held_out_loss=1.5,
            verbatim_train=0.0,
            verbatim_held_out=0.0,
            probed=9,
            status=heart,  # type: ignore[arg-type]
        ),
    )


@pytest.mark.parametrize(
    ("found", "wanted", "reason"),
    [
        (compared(), {"verdict": "improved"}, ""),
        (compared("no detectable change"), {"verdict": "no detectable change"}, ""),
        (compared("improved"), {"verdict": "no detectable change"}, ""),
        (compared("no detectable change"), {"verdict": "improved"}, "'improved' is asked for"),
        (compared("regressed"), {"verdict": "no detectable change"}, "says 'regressed'"),
        (compared(forgotten="warn"), {"forgetting": "warn"}, ""),
        (compared(forgotten="warn"), {"forgetting": "pass"}, "forgetting says 'warn'"),
        (compared(forgotten="fail"), {"forgetting": "warn"}, "forgetting says 'fail'"),
        (compared(heart="fail"), {"overfitting": "warn"}, "overfitting says 'fail'"),
        (compared(), {"minimum": {"exact_match": 0.7}}, ""),
        (compared(), {"minimum": {"exact_match": 0.71}}, "exact_match is 0.7; at least 0.71"),
        (compared(), {"maximum": {"loss": 1.5}}, ""),
        (compared(), {"maximum": {"loss": 1.4}}, "loss is 1.5; at most 1.4"),
        (compared(), {"minimum": {"chrf": 0.1}}, "chrf is not measured"),
        (None, {}, "were not compared"),
        (Comparison(base=Measurement(), tuned=Measurement()), {"verdict": "improved"}, "too few"),
        (
            Comparison(base=Measurement(), tuned=Measurement()),
            {"forgetting": "warn"},
            "forgetting was not measured",
        ),
    ],
)
def test_a_condition_holds_or_says_why_not(
    found: Comparison | None, wanted: dict[str, Any], reason: str
) -> None:
    gate = passes(found, wanted)
    assert gate.passed == (not reason)
    assert reason in " ".join(gate.reasons)


def test_every_condition_is_looked_at() -> None:
    wanted = {
        "verdict": "improved",
        "forgetting": "pass",
        "overfitting": "pass",
        "minimum": {"exact_match": 0.9},
        "maximum": {"loss": 1.0},
    }
    found = dict(conditions(compared("regressed", "fail", "warn"), wanted))
    assert list(found) == [
        *("verdict", "forgetting", "overfitting"),
        *("exact_match at least 0.9", "loss at most 1"),
    ]
    assert all(found.values())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (True, {"verdict": "improved", "forgetting": "warn"}),
        ("improved", {"verdict": "improved"}),
        ({"minimum": {"loss": 1.0}}, {"minimum": {"loss": 1.0}}),
    ],
)
def test_a_gate_may_be_written_in_a_word(written: Any, meant: dict[str, Any]) -> None:
    gate = Evaluation(gate=written).gate
    assert gate is not None
    assert gate.model_dump(exclude_unset=True) == meant


@pytest.mark.parametrize("written", [False, None])
def test_no_gate_asks_nothing(written: Any) -> None:
    assert Evaluation(gate=written).gate is None
