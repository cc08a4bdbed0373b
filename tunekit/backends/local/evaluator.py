"""The evaluation of a run: the base is measured, then the tuned model, and both are compared."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunekit.adapters import origin, spectrum
from tunekit.backends import judging
from tunekit.backends.local import sizes
from tunekit.backends.local.aimed import imitated
from tunekit.backends.local.held_out import HeldOut
from tunekit.backends.local.shared_base import SharedBase
from tunekit.data.quality.personal import PersonalData
from tunekit.data.quality.secrets import Secrets
from tunekit.data.render import read
from tunekit.data.rows import Row
from tunekit.data.tokens import Tokens
from tunekit.errors import AdapterError, SpecError, TunekitError
from tunekit.evaluation import forgetting, gate, overfitting, rank
from tunekit.evaluation.compare import Comparison, compare
from tunekit.evaluation.forward import Scored, score
from tunekit.evaluation.measure import undisturbed
from tunekit.evaluation.measurement import Measurement
from tunekit.evaluation.observe import Observer
from tunekit.evaluation.verdict import Forgetting, Overfitting, Rank

_SEARCHED = 2000
"""Training rows that are searched for what nobody should read again in an answer."""


@dataclass
class Evaluator:
    """Measures the base first and the tuned model later; one of each, in this order."""

    request: dict[str, Any]
    held_out: HeldOut
    observer: Observer | None
    shared: SharedBase | None = None
    """What is known of the base, where other trainings share it."""
    _before: Measurement | None = field(default=None, init=False)
    _seconds: float = field(default=0.0, init=False)

    @classmethod
    def read(
        cls, request: dict[str, Any], tokenizer: Any, *, shared: SharedBase | None = None
    ) -> Evaluator | None:
        """Tokenise what is measured, or give None when there is nothing to compare."""
        held_out = HeldOut.read(request, tokenizer)
        if held_out is None:
            return None
        wanted = request["evaluation"]
        count = sizes.general(wanted["forgetting"], wanted["rows_seen"], held_out.tokens)
        # A model that gives scores writes nothing that it could forget.
        observes = wanted["enabled"] and count and request["objective"] != "reward"
        observer = Observer(tokenizer, count, key=_key(request)) if observes else None
        return cls(request, held_out, observer, shared)

    @property
    def enabled(self) -> bool:
        """Whether base and tuned model are compared, not only watched during the training."""
        return bool(self.request["evaluation"]["enabled"])

    def base(self, model: Any) -> None:
        """Measure the base."""
        start = time.monotonic()
        if self.shared:
            # What it says of general texts is much to keep: it is asked again at the end.
            self._before = self.shared.measured(self.request, lambda: self._measure(model))
        else:
            self._before = self._measure(model)
            if self.observer:
                self.observer.base(model)
        self._seconds += time.monotonic() - start

    def _measure(self, model: Any) -> Measurement:
        return self.held_out.measure(model)[0]

    def curve_rows(self) -> Sequence[Tokens]:
        """Give the rows to measure during the training: all, if that may end it, or a few."""
        wanted, rows = self.request["evaluation"], self.held_out.tokens
        if wanted["curve"]["patience"] is not None:
            return rows
        return rows[: sizes.watched(wanted["rows_seen"])]

    def tuned(self, model: Any, adapter: Path, *, curve: Sequence[float] = ()) -> Comparison:
        """Measure the tuned model, whose weights lie in `adapter`, and compare.

        Args:
            model: The tuned model.
            adapter: The folder of its adapter, or of the model.
            curve: Held-out loss during training, in order.
        """
        if self._before is None:
            raise TunekitError("the base is measured before the tuned model")
        start = time.monotonic()
        wanted = self.request["evaluation"]
        after, scored = self.held_out.measure(model)
        found = compare(
            self._before,
            after,
            prompts=self.held_out.texts,
            references=self.held_out.references,
            examples=wanted["examples"],
            metrics=wanted["metrics"],
            clusters=self.held_out.clusters,
            json_schema=wanted["json_schema"],
        )
        found = found.model_copy(
            update={
                "forgetting": self.forgotten(model),
                "overfitting": self._by_heart(model, scored, curve),
                "rank": _rank(adapter),
            }
        )
        if wanted["judge"] is not None and found.prompts:
            found = judging.added(found, wanted["judge"], clusters=self.held_out.clusters.prompts)
        if wanted["gate"] is not None:
            found = found.model_copy(update={"gate": gate.passes(found, wanted["gate"])})
        return found.model_copy(update={"seconds": self._seconds + time.monotonic() - start})

    @property
    def base_loss(self) -> float:
        """The base's loss on the held-out rows.

        Raises:
            SpecError: it was not measured, or is not finite.
        """
        loss = self._before.loss if self._before else None
        if loss is None:
            raise SpecError("evaluation: the base has no finite loss on the held-out rows")
        return loss

    def forgotten(self, model: Any) -> Forgetting | None:
        """Compare the tuned model, as it is, with the base on general texts."""
        if self.observer is None:
            return None
        if self.shared:
            self.shared.observe(self.observer, model)
        losses, divergences = self.observer.tuned(model)
        return forgetting.judge(
            losses,
            divergences,
            profile=self.request["evaluation"]["profile"],
            trained=_trained(self.request),
        )

    def _by_heart(
        self, model: Any, held_out: Sequence[Scored], curve: Sequence[float]
    ) -> Overfitting | None:
        wanted = self.request["evaluation"]
        count = sizes.probed(wanted["overfitting"], wanted["rows_seen"], self.held_out.tokens)
        if not count or not held_out:
            return None
        rows, private = self._sample(count)
        with undisturbed(model):
            found = score(model, rows)
        return overfitting.overfitted(found, held_out, private=private, curve=curve)

    def _sample(self, count: int) -> tuple[list[Tokens], list[int]]:
        """Take training rows from all over the file, first those with private data."""
        file = Path(self.request["train"])
        rows = list(read(file))
        first = [row for row in rows[:_SEARCHED] if _is_private(row)][: count // 2]
        step = max(1, len(rows) // max(1, count - len(first)))
        taken = {row.where.line for row in (*first, *rows[::step][: count - len(first)])}
        found = imitated(
            [row for row in rows if row.where.line in taken],
            self.request,
            self.held_out.tokenizer,
        )
        lines = {row.where.line for row in first}
        marked = [n for n, row in enumerate(found) if row.where and row.where.line in lines]
        return found, marked


def _trained(request: dict[str, Any]) -> forgetting.Trained:
    trainer, replay = request["trainer"], request.get("replay")
    return forgetting.Trained(
        adapter=(request["peft"] or {}).get("r") is not None,
        learning_rate=trainer.get("learning_rate"),
        epochs=trainer.get("num_train_epochs"),
        replay=(replay["source"], replay["ratio"]) if replay else None,
    )


def _rank(adapter: Path) -> Rank | None:
    with suppress(AdapterError):
        return rank.rank(spectrum.singular_values(adapter))
    return None


def _is_private(row: Row) -> bool:
    """Say whether a row holds a secret or personal data."""
    return any(True for check in (Secrets(), PersonalData()) for _ in check.add(row))


def _key(request: dict[str, Any]) -> str | None:
    """Tell the base from others, its precision included; None where its files are out of reach."""
    model = request["model"]
    folder = origin.find(model["source"])
    found = origin.fingerprint(folder) if folder else None
    return found and json.dumps([found, model["dtype"], model["quantization"]])
