"""Runs whose folders hold everything that a report can show, made without training."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

from tunekit import store
from tunekit.evaluation.compare import Comparison, Measurement
from tunekit.evaluation.verdict import (
    Difference,
    Forgetting,
    Gate,
    Overfitting,
    Rank,
    Signal,
    Spectrum,
)
from tunekit.events import EvaluationEvent, Event, JobState, LogEvent, MetricsEvent, StateEvent
from tunekit.planning.plan import Change, Estimate, Plan
from tunekit.store import Record, RunFolder

STEPS = 60
LABELS = ("billing", "delivery", "account", "refund")


def run(run_id: str = "support-20261101-120000-ab12", **changes: Any) -> RunFolder:
    """Make a run that succeeded and was evaluated in every way; `changes` go into its record."""
    folder = store.create(record(run_id, **changes))
    append(folder, [*measured(), EvaluationEvent(result=comparison().model_dump(mode="json"))])
    return folder


def append(folder: RunFolder, events: Sequence[Event]) -> None:
    """Let a run say something."""
    with folder.refreshing() as entry:
        folder.append(entry, events)


def record(run_id: str, **changes: Any) -> Record:
    """Give the record of a run that has ended well."""
    settings: dict[str, Any] = {
        "id": run_id,
        "name": "support",
        "created": 1_790_000_000.0,
        "ended": 1_790_000_245.0,
        "state": JobState.SUCCEEDED,
        "spec": {
            "model": "org/small-chat",
            "data": {"source": "data/support.jsonl"},
            "method": {"type": "lora", "rank": 16},
            "objective": {"type": "sft"},
            "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
        },
        "plan": plan(),
        "backend": {"type": "local"},
        "data": {
            "profile": {
                "source": "data/support.jsonl",
                "format": "conversation",
                "kind": "conversation",
                "rows": 480,
                "validation_rows": 50,
                "validation_policy": "rows of their own",
                "tokens": 61_440,
                "trained_tokens": 12_960,
                "longest": 201,
                "digest": "0" * 64,
                "weighted": 0,
                "dropped": {"duplicate-row": 3},
                "issues": [
                    {
                        "severity": "warning",
                        "code": "email",
                        "file": "data/support.jsonl",
                        "line": 12,
                        "message": "an e-mail address",
                        "fix": "replace it by a made-up one",
                    }
                ],
            },
            "train": {"rows": 480, "sha256": "a" * 64},
            "validation": {"rows": 50, "sha256": "b" * 64},
        },
        "versions": {"tunekit-sdk": "0.1.0", "torch": "2.13.0", "trl": "1.16.0"},
    }
    return Record(**{**settings, **changes})


def plan(**changes: Any) -> Plan:
    """Give a plan with a change of each kind that is carried out."""
    settings: dict[str, Any] = {
        "backend": "local",
        "model": "org/small-chat",
        "summary": "sft with lora (rank 16) on 480 rows",
        "request": {"model": {"source": "org/small-chat"}, "trainer": {"learning_rate": 1e-3}},
        "changes": (
            Change(
                field="training.scheduler",
                outcome="auto",
                asked="auto",
                used="linear",
                reason="the usual choice for few steps",
                source="TRL's default",
            ),
            Change(
                field="training.batch_size",
                outcome="adapted",
                asked=8,
                used=2,
                reason="2 rows at once, 4 times, so that it fits",
            ),
            Change(
                field="training.packing",
                outcome="dropped",
                asked=False,
                reason="only our default, and the service decides",
            ),
        ),
        "estimates": (
            Estimate(name="memory", value=1.9, unit="GB", reason="weights, adapter, activations"),
        ),
        "warnings": ("480 rows give 60 steps",),
    }
    return Plan(**{**settings, **changes})


def measured(steps: int = STEPS, *, seed: int = 0, best: float = 0.55) -> list[Event]:
    """Give the events of a training that goes well."""
    draw = random.Random(seed)
    events: list[Event] = [
        StateEvent(state=JobState.RUNNING),
        MetricsEvent(step=0, metrics={"max_steps": float(steps)}),
        LogEvent(message="3 rows are longer than max_length and were cut", level="warning"),
    ]
    for step in range(1, steps + 1):
        loss = best + 1.7 * math.exp(-step / 11) + draw.gauss(0, 0.05)
        numbers = {
            "loss": loss,
            "learning_rate": 1e-3 * (1 - step / steps),
            "grad_norm": 0.5 + 2.5 * math.exp(-step / 9) + abs(draw.gauss(0, 0.1)),
            "mean_token_accuracy": 1 - loss / 4,
            "tokens_per_second": 905 + draw.gauss(0, 20),
            "memory_bytes": 1.7e9 + 2e7 * math.log(step + 1),
        }
        events.append(MetricsEvent(step=step, metrics=numbers))
        if step % 10 == 0:
            held = {"eval_loss": best + 0.06 + 1.7 * math.exp(-step / 11)}
            events.append(MetricsEvent(step=step, metrics=held))
    return events


def comparison(**changes: Any) -> Comparison:
    """Give a comparison with every part, most of them good."""
    prompts, references, base, tuned = _answers()
    settings: dict[str, Any] = {
        "base": Measurement(loss=2.31, perplexity=10.07, tokens=1310, answers=base),
        "tuned": Measurement(loss=0.61, perplexity=1.84, tokens=1310, answers=tuned),
        "prompts": prompts,
        "references": references,
        "items": {"exact_match": _scored(references, base, tuned)},
        "differences": (
            difference("loss", "nats/token", "lower", (2.31, 0.61), 0.11),
            difference("exact_match", "share", "higher", (0.02, 0.74), 0.12),
            difference("json_valid", "share", "higher", (0.34, 1.0), 0.10),
            difference("brevity", "score", "higher", (0.70, 0.68), 0.09),
        ),
        "forgetting": Forgetting(
            profile="assistant",
            signals=(
                Signal(
                    name="general_loss",
                    unit="nats/token",
                    value=0.06,
                    low=0.04,
                    high=0.09,
                    warn=0.05,
                    fail=0.15,
                    status="warn",
                ),
                Signal(
                    name="agreement",
                    unit="share",
                    value=0.93,
                    low=0.91,
                    high=0.95,
                    warn=0.9,
                    fail=0.8,
                    better="higher",
                    status="pass",
                ),
            ),
            status="warn",
            advice=("Scale the adapter by 0.8: `tunekit mitigate support`.",),
        ),
        "overfitting": Overfitting(
            train_loss=0.54,
            held_out_loss=0.61,
            verbatim_train=0.04,
            verbatim_held_out=0.04,
            probed=50,
            status="pass",
        ),
        "rank": rank(),
        "gate": Gate(passed=True),
        "seconds": 41.0,
    }
    return Comparison(**{**settings, **changes})


def difference(
    name: str, unit: str, better: Any, values: tuple[float, float], wide: float
) -> Difference:
    """Give a difference whose interval reaches `wide` to both sides."""
    change = values[1] - values[0]
    towards = -change if better == "lower" else change
    verdict: Any = "no detectable change"
    if abs(change) > wide:
        verdict = "improved" if towards > 0 else "regressed"
    return Difference(
        name=name,
        unit=unit,
        better=better,
        base=values[0],
        tuned=values[1],
        low=change - wide,
        high=change + wide,
        detectable=1.4 * wide,
        items=50,
        clusters=48,
        verdict=verdict,
    )


def rank(layers: int = 12, size: int = 16) -> Rank:
    """Give spectra of two kinds of matrices in some layers."""
    spectra = [
        _spectrum(f"model.layers.{layer}.self_attn.{kind}", size, 0.55 + 0.02 * layer - lift)
        for layer in range(layers)
        for kind, lift in (("q_proj", 0.0), ("v_proj", 0.08))
    ]
    advice = ("Rank 8 keeps 99 % of the update: `adapter.truncate(8)`.",)
    return Rank(spectra=tuple(spectra), verdict="too large", suggested=8, advice=advice)


def _spectrum(layer: str, size: int, ratio: float) -> Spectrum:
    values = tuple(ratio**at for at in range(size))
    squares = [value * value for value in values]
    shares = [square / sum(squares) for square in squares]
    kept = next(n for n in range(1, size + 1) if sum(shares[:n]) >= 0.99)
    entropy = -sum(share * math.log(share) for share in shares)
    return Spectrum(layer=layer, rank=size, values=values, effective=math.exp(entropy), energy=kept)


def _scored(
    references: Sequence[str], base: Sequence[str], tuned: Sequence[str]
) -> tuple[tuple[float, float], ...]:
    rows = zip(references, base, tuned, strict=True)
    return tuple((float(b == r), float(t == r)) for r, b, t in rows)


def _answers() -> tuple[tuple[str, ...], ...]:
    """Give questions, the right JSON, what a base says, and what a tuned model says."""
    asked, wanted, base, tuned = [], [], [], []
    for n in range(12):
        label = LABELS[n % len(LABELS)]
        right = json.dumps({"category": label, "urgent": n % 3 == 0})
        asked.append(f"Where is order {1000 + n}? I have waited for {n + 2} days.")
        wanted.append(right)
        base.append("I'm sorry to hear that. " * (1 + n % 3) if n != 5 else right)
        tuned.append(right if n not in (5, 9) else json.dumps({"category": "other"}))
    return tuple(asked), tuple(wanted), tuple(base), tuple(tuned)
