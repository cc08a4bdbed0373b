"""What is wrong with a source of any size, found in one pass and without keeping its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tunekit.data import sources, tokenizer
from tunekit.data.issues import SHOWN, Issue, weighed
from tunekit.data.meaning import check as check_meaning
from tunekit.data.quality.catalogue import require_known
from tunekit.data.quality.quality import Quality
from tunekit.data.quality.trained import Trained
from tunekit.data.recognise import Recognised, stream
from tunekit.data.tally import Tally
from tunekit.errors import SpecError
from tunekit.files import sha256
from tunekit.spec.finetune import Data, Severity


class Report(BaseModel):
    """What a source holds, and what is wrong with it."""

    model_config = ConfigDict(frozen=True)

    source: str
    format: str
    kind: str
    rows: int
    """Rows that can be read."""
    sha256: dict[str, str]
    """Hash of each file, by its name."""
    counts: dict[str, int]
    """Findings by code, the most frequent first; these are all of them."""
    severities: dict[str, Severity]
    """What each code is worth in this source."""
    issues: tuple[Issue, ...]
    """The first ones, errors before warnings; `issues.jsonl` has all, if it was asked for."""

    @property
    def ok(self) -> bool:
        """Whether a run would take this source."""
        return "error" not in self.severities.values()

    def __str__(self) -> str:
        what = f"{self.rows:,} {self.kind} rows, read as {self.format}" if self.rows else "no rows"
        lines = [f"{self.source}: {what}"]
        for code, count in self.counts.items():
            lines.append(f"  {self.severities[code]:8} {code:26} {count:>9,}")
        lines += ["", *map(str, self.issues)] if self.issues else ["  nothing is wrong"]
        hidden = sum(self.counts.values()) - len(self.issues)
        if hidden > 0:
            lines.append(f"... and {hidden:,} more")
        return "\n".join(lines)


def check(
    source: Data | str | Any,
    *,
    validation: Data | str | Any = None,
    issues: str | Path | None = None,
    quality: bool = True,
    model: str | Any = None,
    max_length: int | None = None,
) -> Report:
    """Look at every row of a source once, and say all that is wrong.

    Bad data raises nothing here: it is what the report is about.

    Args:
        source: what `FineTune(data=...)` takes.
        validation: held-out rows, to find those that are also trained on.
        issues: a file that gets every finding, one JSON object a line.
        quality: also look for copies, secrets and the like, and not only at the form.
        model: also tokenise every row as training will, and look at the labels; a hub id, a
            folder, `embedded:smollm2-135m`, or a fast tokenizer of transformers.
        max_length: as in `training.max_length`, in tokens; None: what the model takes.

    Raises:
        DataError: there is no such file.
        SpecError: a code in `checks` is unknown, the model's tokenizer cannot be loaded, or
            tokens are to be counted and it is not said whose.
        MissingExtra: reading this kind of source needs a package that is not installed.
    """
    data = Data.of(source)
    require_known(data.checks, data.drop)
    _require_model(model, max_length, quality=quality)
    held = None if validation is None else Data.of(validation)
    tally = Tally(data.checks)
    looking = Quality(
        data.checks,
        held_out=held is not None,
        more=() if model is None else (_trained(model, max_length),),
        sink=tally.spill,
    )
    with tally.into(issues):
        return _report(data, held, tally, looking=looking if quality else None)


def _require_model(model: Any, max_length: int | None, *, quality: bool) -> None:
    if max_length is not None and model is None:
        raise SpecError("max_length counts tokens; say whose: model='Qwen/Qwen3-0.6B'")
    if model is not None and not quality:
        raise SpecError("the form of the rows has nothing to do with a model; leave out model")


def _trained(model: str | Any, max_length: int | None) -> Trained:
    loaded = tokenizer.load(model)
    return Trained(loaded, max_length=max_length or tokenizer.context(model, loaded))


def _report(data: Data, held: Data | None, tally: Tally, *, looking: Quality | None) -> Report:
    found = Recognised()
    rows, kind = 0, ""
    for row in stream(sources.rows(data, tally), tally, wanted=data.format, into=found):
        rows, kind = rows + 1, row.kind
        for issue in check_meaning(row):
            tally.append(weighed(issue, data.checks))
        if looking is not None:
            looking.add(row)
    if looking is not None:
        _weigh(looking, held, tally)
    order = {"error": 0, "warning": 1, "info": 2, "off": 3}
    return Report(
        source=sources.name(data),
        format=found.format,
        kind=kind,
        rows=rows,
        sha256={str(path): sha256(path) for path in sources.files(data)},
        counts=dict(tally.counts.most_common()),
        severities=tally.severities,
        issues=tuple(sorted(tally, key=lambda issue: order[issue.severity])[:SHOWN]),
    )


def _weigh(looking: Quality, held: Data | None, tally: Tally) -> None:
    """Look at the held-out rows too, and take what was found with what it is worth."""
    if held is not None:
        for row in stream(sources.rows(held, tally), tally, wanted=held.format, into=Recognised()):
            looking.held(row)
    for issue in looking.close():
        tally.append(issue)
    tally.settle(looking.weights, looking.beyond)
