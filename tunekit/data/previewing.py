"""Rows as the model will see them: every token, and whether it is trained on."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunekit.data import sources, tokenizer
from tunekit.data.issues import Found, require
from tunekit.data.mask import IGNORED, tokenize, tokenize_judged, tokenize_pair
from tunekit.data.prepare import TRAIN_ON
from tunekit.data.recognise import recognise
from tunekit.data.rows import Completion, Conversation, Judged, Preference, Row, Text
from tunekit.errors import SpecError
from tunekit.printable import printable
from tunekit.spec.finetune import Data


@dataclass(frozen=True)
class Token:
    """One token, its text, and whether the loss counts it."""

    id: int
    text: str
    trained: bool


@dataclass(frozen=True)
class Shown:
    """One sequence of a row."""

    title: str
    tokens: tuple[Token, ...]
    complete: bool
    """Nothing was cut off by `max_length`."""

    @property
    def trained(self) -> int:
        """Tokens that the loss counts."""
        return sum(token.trained for token in self.tokens)

    @property
    def heading(self) -> str:
        """Place, and tokens in numbers."""
        cut = "" if self.complete else ", cut at max_length"
        return f"{self.title}: {len(self.tokens)} tokens, {self.trained} trained on{cut}"

    def stretches(self) -> Iterator[tuple[bool, tuple[Token, ...]]]:
        """Give the tokens in runs of one kind."""
        for trained, run in itertools.groupby(self.tokens, key=lambda token: token.trained):
            yield trained, tuple(run)


@dataclass(frozen=True)
class Preview:
    """Some rows as tokens; prints itself, draws itself in colour, writes itself as a page."""

    model: str
    sequences: tuple[Shown, ...]

    def __str__(self) -> str:
        return "\n\n".join(f"{shown.heading}\n{_marked(shown)}" for shown in self.sequences)

    def __rich__(self) -> Any:
        from rich.text import Text as Drawn

        drawn = Drawn()
        for shown in self.sequences:
            drawn.append(f"{shown.heading}\n", style="bold")
            for trained, run in shown.stretches():
                for index, token in enumerate(run):
                    shade = ("black on green", "black on bright_green")[index % 2]
                    drawn.append(_visible(token.text), style=shade if trained else "dim")
            drawn.append("\n\n")
        return drawn

    def html(self, path: str | Path) -> Path:
        """Write a page that needs nothing else; gives its path."""
        written = Path(path)
        written.write_text(_page(self), encoding="utf-8")
        return written


def preview(
    source: Data | str | Any,
    *,
    model: str | Any,
    rows: int = 3,
    train_on: str = "auto",
    max_length: int | None = None,
) -> Preview:
    """Tokenise the first rows of a source the way training does.

    Args:
        source: what `FineTune(data=...)` takes.
        model: a hub id, a folder, `embedded:smollm2-135m`, or a fast tokenizer of transformers.
        rows: how many.
        train_on: as in `objective.train_on`.
        max_length: as in `training.max_length`.

    Raises:
        DataError: rows are malformed, or the chat template refuses one.
        SpecError: the rows are not trained on by tokens, or `train_on` means nothing for them.
    """
    data, loaded = Data.of(source), tokenizer.load(model)
    issues = Found(checks=data.checks)
    some = data.model_copy(update={"limit": min(rows, data.limit or rows)})
    found = recognise(sources.rows(some, issues), issues, wanted=data.format)
    require(issues)
    shown = [part for row in found.rows for part in _shown(row, loaded, train_on, max_length)]
    return Preview(tokenizer.name(model), tuple(shown))


def _shown(row: Row, tokenizer: Any, train_on: str, limit: int | None) -> Iterator[Shown]:
    if isinstance(row, Preference):
        pair = tokenize_pair(row, tokenizer, max_length=limit)
        for name, answer in (("chosen", pair.chosen_ids), ("rejected", pair.rejected_ids)):
            trained = [False] * len(pair.prompt_ids) + [True] * len(answer)
            tokens = _tokens([*pair.prompt_ids, *answer], trained, tokenizer)
            yield Shown(f"{row.where}, {name}", tokens, pair.complete)
        return
    if isinstance(row, Judged):
        judged = tokenize_judged(row, tokenizer, max_length=limit)
        trained = [False] * len(judged.prompt_ids) + [True] * len(judged.completion_ids)
        tokens = _tokens([*judged.prompt_ids, *judged.completion_ids], trained, tokenizer)
        verdict = "wanted" if judged.label else "unwanted"
        yield Shown(f"{row.where}, {verdict}", tokens, judged.complete)
        return
    if not isinstance(row, (Conversation, Completion, Text)):
        raise SpecError(f"{row.where}: {row.kind} rows are not trained on token by token")
    wanted = TRAIN_ON[row.kind][0] if train_on == "auto" else train_on
    if wanted not in TRAIN_ON[row.kind]:
        raise SpecError(
            f"train_on: {wanted!r} means nothing for {row.kind} rows; "
            f"use {' or '.join(TRAIN_ON[row.kind])}"
        )
    made = tokenize(row, tokenizer, train_on=wanted, max_length=limit)
    trained = [label != IGNORED for label in made.labels]
    yield Shown(str(row.where), _tokens(made.input_ids, trained, tokenizer), made.complete)


def _tokens(ids: Sequence[int], trained: Sequence[bool], tokenizer: Any) -> tuple[Token, ...]:
    """Decode token by token; a character that several tokens make up stands at the last one."""
    found: list[Token] = []
    held: list[int] = []
    for number, counts in zip(ids, trained, strict=True):
        held.append(number)
        text = tokenizer.decode(held, clean_up_tokenization_spaces=False)
        whole = not text.endswith("\ufffd") or len(held) > 4
        found.append(Token(number, text if whole else "", counts))
        held = [] if whole else held
    return tuple(found)


def _visible(text: str) -> str:
    """Show line breaks, and nothing that would command a terminal."""
    return printable(text).replace("\n", "↵\n")


def _marked(shown: Shown) -> str:
    """Put what is trained on into ⟦ ⟧, for output without colour."""
    pieces = (("".join(token.text for token in run), kind) for kind, run in shown.stretches())
    return "".join(f"⟦{printable(text)}⟧" if kind else printable(text) for text, kind in pieces)


_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c1e21; --faint: #6a7079;
  --one: #b7ebc3; --other: #93dfa6; --line: #d9dde2; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e8eaed; --faint: #969da6;
  --one: #1d5a31; --other: #276f3e; --line: #33373d; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.7 ui-monospace, monospace;
  border: 1px solid var(--line); border-radius: 6px; padding: .75rem; color: var(--faint); }
b { font-weight: 400; color: var(--ink); background: var(--one); border-radius: 3px; }
b:nth-of-type(even) { background: var(--other); }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def _page(made: Preview) -> str:
    body = "".join(
        f"<h2>{html.escape(shown.heading)}</h2>\n<pre>{_spans(shown)}</pre>\n"
        for shown in made.sequences
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>What is trained on</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>What is trained on</h1>\n<p>Tokens of {html.escape(made.model)}. Those on "
        "<b>green</b> count for the loss; the others are context. A token's title is its id.</p>\n"
        f"{body}</body></html>\n"
    )


def _spans(shown: Shown) -> str:
    return "".join(
        f'<{tag} title="{token.id}">{html.escape(_visible(token.text))}</{tag}>'
        for token in shown.tokens
        for tag in ("b" if token.trained else "span",)
    )
