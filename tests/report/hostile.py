"""A run in which every text that somebody else wrote is an injection."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from tests.report import made
from tests.report.injections import TEXTS
from tunekit import store
from tunekit.evaluation.compare import Comparison, Measurement, Score
from tunekit.evaluation.labels import Confusion
from tunekit.evaluation.verdict import Forgetting, Gate, Overfitting, Rank, Signal, Spectrum
from tunekit.events import EvaluationEvent, JobState, LogEvent, MetricsEvent
from tunekit.planning.plan import Change, Estimate
from tunekit.store import RunFolder

Poison = Callable[[], str]
"""Gives one text after the other, so that each place gets another."""


def run(run_id: str = "hostile", state: JobState = JobState.SUCCEEDED) -> RunFolder:
    """Make the run."""
    text = poison()
    folder = store.create(_record(run_id, text, state=state))
    made.append(
        folder,
        [
            *(
                MetricsEvent(step=step, metrics={"loss": 1.0 / step, text(): 1.0})
                for step in range(1, 4)
            ),
            *(LogEvent(message=text(), level="error") for _ in TEXTS),
            EvaluationEvent(result=_comparison(text).model_dump(mode="json")),
        ],
    )
    return folder


def poison() -> Poison:
    """Begin anew; a run's folder is UTF-8, which holds no half of a surrogate pair."""
    whole = (text.encode("utf-8", "replace").decode() for text in itertools.cycle(TEXTS))
    return lambda: next(whole)


def _record(run_id: str, text: Poison, *, state: JobState) -> Any:
    plan = made.plan(
        backend=text(),
        model=text(),
        summary=text(),
        request={text(): text(), "list": [text(), {text(): text()}]},
        changes=tuple(
            Change(
                field=text(),
                outcome=outcome,
                asked=text(),
                used=text(),
                reason=text(),
                source=text(),
            )
            for outcome in ("auto", "adapted", "dropped", "unsupported")
            for _ in range(3)
        ),
        estimates=(Estimate(name=text(), value=1.0, unit=text(), reason=text()),),
        warnings=tuple(text() for _ in TEXTS),
    )
    base = made.record(run_id)
    profile = {
        **base.data["profile"],
        **{name: text() for name in ("source", "format", "kind", "validation_policy", "digest")},
        "dropped": {text(): 3},
        "issues": [
            {"severity": "warning", "code": text(), "file": text(), "line": 1}
            | {"message": text(), "fix": text()}
            for _ in range(10)
        ],
    }
    return made.record(
        run_id,
        name=text(),
        state=state,
        plan=plan,
        spec={"model": text(), "data": {"source": text(), text(): text()}},
        backend={"type": text(), text(): text()},
        data={**base.data, "profile": profile, "train": {"rows": 1, "sha256": text()}},
        versions={text(): text()},
        reason=text(),
        log="\n".join(text() for _ in TEXTS),
        hosted=text(),
        used={text(): text()},
    )


def _comparison(text: Poison) -> Comparison:
    count = len(TEXTS)
    base, tuned = (tuple(text() for _ in range(count)) for _ in range(2))
    references = tuple(text() if n % 2 else tuned[n] for n in range(count))
    signal = {"value": 0.1, "low": 0.0, "high": 0.2, "warn": 0.1, "fail": 0.2}
    return Comparison(
        base=Measurement(loss=2.0, tokens=9, answers=base),
        tuned=Measurement(loss=1.0, tokens=9, answers=tuned),
        prompts=tuple(text() for _ in range(count)),
        references=references,
        items={text(): tuple((0.0, float(n % 3 - 1)) for n in range(count))},
        confusion=Confusion(labels=(text(), text()), base=((1, 2),), tuned=((2, 1),)),
        scores={text(): Score(base=0.0, tuned=1.0, count=9)},
        differences=tuple(
            made.difference(text(), text(), "lower", (2.0, 1.0), 0.1) for _ in range(4)
        ),
        forgetting=Forgetting(
            profile="assistant",
            signals=tuple(
                Signal(name=text(), unit=text(), status="warn", **signal) for _ in range(3)
            ),
            status="warn",
            advice=(text(), text()),
        ),
        overfitting=Overfitting(
            train_loss=1.0,
            held_out_loss=1.0,
            verbatim_train=0.0,
            verbatim_held_out=0.0,
            probed=1,
            status="warn",
            advice=(text(),),
        ),
        rank=Rank(
            spectra=tuple(
                Spectrum(layer=text(), rank=2, values=(1.0, 0.5), effective=1.5, energy=2)
                for _ in range(9)
            ),
            verdict="fine",
            suggested=2,
            advice=(text(),),
        ),
        gate=Gate(passed=False, reasons=(text(), text())),
    )
