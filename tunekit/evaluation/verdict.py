"""What an evaluation concludes, as data: differences with their uncertainty, and what follows."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["improved", "no detectable change", "regressed"]
Status = Literal["pass", "warn", "fail"]


class Difference(BaseModel):
    """One metric of base and tuned model on the same items, never without its uncertainty."""

    model_config = ConfigDict(frozen=True)

    name: str
    """`loss`, `exact_match`, `json_valid`, `rouge_l`, ... or the name of the user's function."""
    unit: str
    """`nats/token`, `share` (of items that are right), `score` (0 to 1), `nats` or `value`."""
    better: Literal["lower", "higher"]
    base: float
    tuned: float
    low: float
    """Lower end of the 95 % interval of tuned - base: paired, clustered bootstrap."""
    high: float
    detectable: float
    """Smallest true change that would be found in 80 % of such evaluations."""
    items: int
    clusters: int
    """Groups of items that are not independent: rows of one conversation or near copies."""
    verdict: Verdict
    note: str = ""
    """Why the verdict is not what the interval says: the gain is one of form."""

    @property
    def change(self) -> float:
        """Give tuned minus base."""
        return self.tuned - self.base


class Signal(BaseModel):
    """One sign of forgetting, with the limits it is held against."""

    model_config = ConfigDict(frozen=True)

    name: str
    """`general_loss`, `divergence`, `agreement`, or the name of a probe."""
    unit: str
    value: float
    low: float
    high: float
    warn: float
    fail: float
    better: Literal["lower", "higher"] = "lower"
    status: Status


class Forgetting(BaseModel):
    """What the tuned model lost of what the base can do, on texts that are not of the task."""

    model_config = ConfigDict(frozen=True)

    profile: Literal["assistant", "specialist"]
    signals: tuple[Signal, ...]
    status: Status
    """The worst of the signals."""
    advice: tuple[str, ...] = ()
    """What to try, the cheapest first; empty when nothing was forgotten."""


class Overfitting(BaseModel):
    """Whether the rows were learnt by heart."""

    model_config = ConfigDict(frozen=True)

    train_loss: float
    """Of the tuned model, on a sample of training rows as large as the held-out rows."""
    held_out_loss: float
    verbatim_train: float
    """Share of probed training answers that are reproduced word for word from their beginning."""
    verbatim_held_out: float
    probed: int
    status: Status
    advice: tuple[str, ...] = ()


class Spectrum(BaseModel):
    """Singular values of one adapted layer's update, largest first."""

    model_config = ConfigDict(frozen=True)

    layer: str
    rank: int
    values: tuple[float, ...]
    effective: float
    """exp of the entropy of the squared values' shares: directions that are really used."""
    energy: int
    """How many directions hold 99 % of the squares."""


class Rank(BaseModel):
    """Whether the adapter's rank fits what was learnt."""

    model_config = ConfigDict(frozen=True)

    spectra: tuple[Spectrum, ...]
    verdict: Literal["too small", "fine", "too large"]
    suggested: int
    advice: tuple[str, ...] = ()


class Gate(BaseModel):
    """Whether the run may be shipped, by what the spec asks."""

    model_config = ConfigDict(frozen=True)

    passed: bool
    reasons: tuple[str, ...] = ()
    """One sentence for each condition that does not hold."""
