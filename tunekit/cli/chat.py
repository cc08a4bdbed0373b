"""Talk to a run's model and to its base, side by side."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterable, Iterator
from typing import Annotated, Any, Literal

import typer

from tunekit.cli import output
from tunekit.cli.options import AsJson, RunId
from tunekit.printable import printable
from tunekit.running.chat import Side, Speaker, speaker
from tunekit.running.chat import system as trained_with
from tunekit.running.run import get

_HELP = "/base, /tuned, /both: who answers · /reset: forget what was said · /quit"
_STYLES = {"base": "", "tuned": "bold"}


def chat(
    run: RunId,
    ask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Ask this and end; may be repeated, as one conversation.",
            show_default=False,
        ),
    ] = None,
    side: Annotated[
        Literal["base", "tuned", "both"], typer.Option("--side", help="Who answers.")
    ] = "both",
    system: Annotated[
        str | None,
        typer.Option(
            help="A system message; by default that of the first training row.",
            show_default=False,
        ),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer.")] = 256,
    as_json: AsJson = False,
) -> None:
    """Talk to base and tuned model side by side, in the terminal or with --ask.

    A run that is served is asked where it is served; there is no base there.
    """
    found = get(run)
    who = speaker(found)
    opening = trained_with(found.folder / "data") if system is None else system
    talk = Talk(who, system=opening, length=max_new_tokens)
    if not talk.turn(side):
        raise typer.BadParameter(f"the {side} model is not here", param_hint="--side")
    if ask or as_json or not sys.stdin.isatty():
        _answer(talk, ask or _lines(sys.stdin), as_json=as_json)
        return
    if opening:
        output.note(f"system: {opening}")
    output.note(_HELP)
    _converse(talk)


class Talk:
    """A conversation with one model or both; each goes on from what it said itself."""

    def __init__(self, who: Speaker, *, system: str = "", length: int = 256) -> None:
        self._who = who
        self._length = length
        self._opening = [{"role": "system", "content": system}] if system else []
        self.asked: tuple[Side, ...] = who.sides
        """Those who answer."""
        self._said: dict[Side, list[dict[str, str]]] = {}
        self.reset()

    def turn(self, side: str) -> bool:
        """Let one model answer, or both; gives False when there is none."""
        able: tuple[Side, ...] = tuple(each for each in self._who.sides if side in (each, "both"))
        self.asked = able or self.asked
        return bool(able)

    def reset(self) -> None:
        """Forget what was said."""
        self._said = {side: list(self._opening) for side in self._who.sides}

    def say(self, side: Side, text: str) -> Generator[str, None, None]:
        """Ask one model, and remember what it answers, as far as it came."""
        messages = [*self._said[side], {"role": "user", "content": text}]
        pieces: list[str] = []
        answer = self._who.say(side, messages, length=self._length)
        try:
            for piece in answer:
                pieces.append(piece)
                yield piece
        finally:
            answer.close()
            said = {"role": "assistant", "content": "".join(pieces)}
            self._said[side] = [*messages, said]


def _answer(talk: Talk, questions: Iterable[str], *, as_json: bool) -> None:
    """Answer without a terminal, one line a model."""
    found: list[dict[str, str]] = []
    for question in questions:
        answers: dict[str, str] = {side: "".join(talk.say(side, question)) for side in talk.asked}
        found.append({"ask": question, **answers})
        if not as_json:
            typer.echo(f"{'ask':<6} {printable(question)}")
            for side, text in answers.items():
                typer.echo(f"{side:<6} {printable(text).strip() or '(nothing)'}")
    if as_json:
        output.emit(found)


def _lines(source: Iterable[str]) -> Iterator[str]:
    return (line.strip() for line in source if line.strip())


def _converse(talk: Talk) -> None:
    """Read questions until the end of input."""
    with contextlib.suppress(ImportError):
        # Gives `input` a history and the arrow keys.
        __import__("readline")
    while True:
        try:
            text = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            typer.echo("")
            return
        if text == "/quit":
            return
        if text.startswith("/"):
            output.note(_commanded(talk, text))
        elif text:
            with contextlib.suppress(KeyboardInterrupt):
                # Ctrl-C stops an answer; at the prompt it ends the conversation.
                _stream(talk, text)


def _commanded(talk: Talk, text: str) -> str:
    if text in ("/base", "/tuned", "/both"):
        there = talk.turn(text[1:])
        return f"{' and '.join(talk.asked)} will answer" if there else f"{text[1:]} is not here"
    if text == "/reset":
        talk.reset()
        return "forgotten"
    return _HELP


def _stream(talk: Talk, text: str) -> None:
    """Draw the answers as they come: next to each other where there are two."""
    from rich.live import Live

    from tunekit.running.screen import Screen

    answers: dict[Side, str] = dict.fromkeys(talk.asked, "")
    with Live(console=Screen(), refresh_per_second=12, vertical_overflow="visible") as live:
        for side in talk.asked:
            for piece in talk.say(side, text):
                answers[side] += piece
                live.update(_columns(answers))
        live.update(_columns(answers))


def _columns(answers: dict[Side, str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="dim")
    for side in answers:
        table.add_column(side, ratio=1, overflow="fold")
    table.add_row(*(Text(text.strip(), style=_STYLES[side]) for side, text in answers.items()))
    return table
