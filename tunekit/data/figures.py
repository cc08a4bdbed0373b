"""A source in numbers: kinds, turns, and how long its rows are."""

from __future__ import annotations

import html
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tunekit.data import estimate, sources, tokenizer
from tunekit.data.issues import Found, require
from tunekit.data.mask import BATCH
from tunekit.data.quality.language import language
from tunekit.data.recognise import Recognised, stream
from tunekit.data.rows import Conversation, Row
from tunekit.data.samples import length, samples
from tunekit.data.words import answered
from tunekit.errors import SpecError
from tunekit.spec.finetune import Data

WIDTH = 40
"""Characters of the longest bar."""
BARS = 5
"""With fewer of them a histogram in steps of two says too little."""


class Stats(BaseModel):
    """What a source holds."""

    model_config = ConfigDict(frozen=True)

    source: str
    format: str
    kind: str
    rows: int
    turns: float | None
    """Turns of a chat, on average."""
    model: str = ""
    """Whose tokenizer counted; empty: tokens are estimates."""
    tokens: int
    """All of them; estimated as a token for every 4 bytes, and 4 for every turn."""
    lengths: dict[int, int]
    """Rows with fewer tokens than the key, and no fewer than the key before."""
    percentiles: dict[int, int]
    """Tokens that so many percent of the rows do not exceed."""
    languages: dict[str, int]
    """Answers by language, where it could be told."""

    def __str__(self) -> str:
        lines = [self.head(), "", self.counted()]
        most = max(self.lengths.values())
        for edge, count in self.lengths.items():
            bar = "█" * max(1, round(WIDTH * count / most)) if count else ""
            lines.append(f"{'< ' + format(edge, ','):>9} {bar} {count:,}")
        return "\n".join([*lines, "", self.spoken()])

    def head(self) -> str:
        """Say how many rows there are, and how long they are."""
        turns = f", {self.turns:.1f} turns each" if self.turns else ""
        about = "" if self.model else "about "
        return (
            f"{self.source}: {self.rows:,} {self.kind} rows, read as {self.format}{turns}\n"
            f"{about}{self.tokens:,} tokens; half of the rows have at most "
            f"{self.percentiles[50]:,}, 95 % {self.percentiles[95]:,}, "
            f"the longest {self.percentiles[100]:,}"
        )

    def counted(self) -> str:
        """Say what the histogram counts."""
        how = f"by the tokenizer of {self.model}" if self.model else "estimated"
        return f"Tokens in a row ({how})"

    def spoken(self) -> str:
        """Say in which languages the answers are."""
        named = (f"{name} {count:,}" for name, count in self.languages.items())
        return f"answers: {', '.join(named) or 'no language told'}"

    def html(self, path: str | Path) -> Path:
        """Write a page with the histogram as a picture; gives its path."""
        written = Path(path)
        written.write_text(_page(self), encoding="utf-8")
        return written


def stats(source: Data | str | Any, *, model: str | Any = None) -> Stats:
    """Count what a source holds, in one pass.

    Args:
        source: what `FineTune(data=...)` takes.
        model: whose tokens to count, as training would write the rows; None: estimate them.

    Raises:
        DataError: rows are malformed, or the chat template refuses one.
        SpecError: the model's tokenizer cannot be loaded, or the rows are not trained on by tokens.
    """
    data, issues, found = Data.of(source), Found(), Recognised()
    lengths = _Lengths(None if model is None else tokenizer.load(model))
    spoken: Counter[str] = Counter()
    turns, kind = 0, ""
    for row in stream(sources.rows(data, issues), issues, wanted=data.format, into=found):
        kind = row.kind
        lengths.add(row)
        turns += len(row.messages) if isinstance(row, Conversation) else 0
        spoken[language(answered(row))] += 1
    require(issues)
    counted = lengths.close()
    rows = counted.total()
    del spoken[""]
    return Stats(
        source=sources.name(data),
        format=found.format,
        kind=kind,
        rows=rows,
        turns=turns / rows if turns else None,
        model="" if model is None else tokenizer.name(model) or "the tokenizer given",
        tokens=sum(tokens * count for tokens, count in counted.items()),
        lengths=_histogram(counted),
        percentiles={share: _percentile(counted, share) for share in (50, 90, 95, 99, 100)},
        languages=dict(spoken.most_common()),
    )


class _Lengths:
    """Counts rows by their tokens; with a tokenizer many at a time."""

    def __init__(self, loaded: Any) -> None:
        self._tokenizer = loaded
        self._counts: Counter[int] = Counter()
        self._waiting: list[Row] = []

    def add(self, row: Row) -> None:
        if self._tokenizer is None:
            self._counts[estimate.tokens(row)] += 1
            return
        if row.kind not in _TOKENISED:
            raise SpecError(f"{row.where}: {row.kind} rows are not trained on token by token")
        self._waiting.append(row)
        if len(self._waiting) == BATCH:
            self._count()

    def close(self) -> Counter[int]:
        self._count()
        return self._counts

    def _count(self) -> None:
        done = samples(self._waiting, self._tokenizer, train_on="all", max_length=None)
        self._counts.update(map(length, done))
        self._waiting.clear()


_TOKENISED = ("conversation", "completion", "text", "preference", "judged")


def _histogram(lengths: Counter[int]) -> dict[int, int]:
    """Count in steps of two, or, of rows that are all about as long, in equal steps."""
    shortest, longest = min(lengths), max(lengths)
    edges = [2**power for power in range(shortest.bit_length(), longest.bit_length() + 1)]
    if len(edges) < BARS:
        step = _round((longest - shortest) / (2 * BARS))
        edges = list(range((shortest // step + 1) * step, longest + step + 1, step))
    below = [sum(n for length, n in lengths.items() if length < edge) for edge in edges]
    counts = [after - before for before, after in zip([0, *below], below, strict=False)]
    return dict(zip(edges, counts, strict=True))


def _round(step: float) -> int:
    """Give the next of 1, 2, 5, 10, 20, 50 and so on."""
    size = 1
    while True:
        for times in (1, 2, 5):
            if size * times >= step:
                return size * times
        size *= 10


def _percentile(lengths: Counter[int], share: int) -> int:
    left = lengths.total() * share / 100
    for tokens in sorted(lengths):
        left -= lengths[tokens]
        if left <= 1e-9:
            return tokens
    return max(lengths)


_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c1e21; --bar: #3572b0; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e8eaed; --bar: #6ba3dc; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 45rem; margin: 0 auto; padding: 1rem; }
svg { width: 100%; height: auto; } text { fill: var(--ink); font: 13px system-ui, sans-serif; }
rect { fill: var(--bar); } p { white-space: pre-line; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_ROW, _LEFT, _LONGEST = 26, 80, 420


def _page(made: Stats) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Data in numbers</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Data in numbers</h1>\n<p>{html.escape(made.head())}</p>\n"
        f"<h2>{html.escape(made.counted())}</h2>\n{_picture(made)}\n"
        f"<p>{html.escape(made.spoken())}</p>\n"
        "</body></html>\n"
    )


def _picture(made: Stats) -> str:
    most = max(made.lengths.values())
    bars: list[str] = []
    for index, (edge, count) in enumerate(made.lengths.items()):
        top, long = index * _ROW, round(_LONGEST * count / most)
        bars.append(
            f'<text x="{_LEFT - 8}" y="{top + 17}" text-anchor="end">&lt; {edge:,}</text>'
            f'<rect x="{_LEFT}" y="{top + 3}" width="{long}" height="20" rx="2"/>'
            f'<text x="{_LEFT + long + 8}" y="{top + 17}">{count:,}</text>'
        )
    height = _ROW * len(made.lengths)
    return (
        f'<svg viewBox="0 0 600 {height}" role="img" aria-label="Rows by tokens">'
        f"{''.join(bars)}</svg>"
    )
