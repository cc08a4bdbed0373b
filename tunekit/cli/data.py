"""Commands for looking at data before anything is trained: tunekit data ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunekit.cli import exits, output
from tunekit.errors import SpecError
from tunekit.spec.finetune import Data

app = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Look at data, check it, write it in another form.",
)

Source = Annotated[str, typer.Argument(help="A file, a glob, a folder or a hub id.")]
Format = Annotated[str, typer.Option("--format", help="The shape of the rows.")]
Mapping = Annotated[
    list[str] | None,
    typer.Option("--map", help="NAME=COLUMN: read a column of yours as NAME; may be repeated."),
]
Page = Annotated[Path | None, typer.Option("--html", help="Write a page to this file too.")]


def _data(source: str, format: str, mapping: list[str] | None) -> Data:
    names: dict[str, str] = {}
    for pair in mapping or ():
        name, mark, column = pair.partition("=")
        if not mark or not name or not column:
            raise SpecError(f"--map {pair}: write NAME=COLUMN, such as --map prompt=question")
        names[name] = column
    given: dict[str, Any] = {"source": source, "format": format, "mapping": names or None}
    return Data(**given)


@app.command()
def check(
    source: Source,
    format: Format = "auto",
    mapping: Mapping = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out rows, to find those that are also trained on.")
    ] = None,
    issues: Annotated[
        Path | None, typer.Option(help="Write every finding to this file, one JSON a line.")
    ] = None,
    quality: Annotated[
        bool, typer.Option("--quality/--form", help="Everything, or the form of the rows only.")
    ] = True,
    model: Annotated[
        str | None,
        typer.Option(help="Look at the rows as this model's tokenizer and template write them."),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens that training.max_length allows a row."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say all that is wrong with the rows; the exit code is 2 if a run would refuse them."""
    from tunekit.data.report import check as examine

    report = examine(
        _data(source, format, mapping),
        validation=validation,
        issues=issues,
        quality=quality,
        model=model,
        max_length=max_length,
    )
    if json:
        output.emit({**report.model_dump(mode="json"), "ok": report.ok})
    else:
        output.show(str(report))
    if not report.ok:
        raise typer.Exit(exits.USAGE)


@app.command()
def preview(
    source: Source,
    model: Annotated[str, typer.Option(help="Whose tokenizer and chat template to use.")],
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 3,
    train_on: Annotated[str, typer.Option(help="assistant, completion or all.")] = "auto",
    max_length: Annotated[int | None, typer.Option(min=1, help="Cut rows to so many.")] = None,
    format: Format = "auto",
    mapping: Mapping = None,
    html: Page = None,
) -> None:
    """Show rows as tokens, with those that are trained on coloured."""
    from tunekit.data.previewing import preview as look

    made = look(
        _data(source, format, mapping),
        model=model,
        rows=rows,
        train_on=train_on,
        max_length=max_length,
    )
    output.show(made if output.is_terminal() else str(made))
    _page(made, html)


@app.command()
def convert(
    source: Source,
    target: Annotated[str, typer.Argument(help="trl, together, fireworks, openai, ...")],
    into: Annotated[Path, typer.Argument(help="The JSONL file to write; it must not exist.")],
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Go on where the form cannot hold something.")
    ] = False,
    format: Format = "auto",
    mapping: Mapping = None,
) -> None:
    """Write the rows in the form of a trainer or a service."""
    from tunekit.data.converting import convert as write

    output.show(str(write(_data(source, format, mapping), target, into, lossy=lossy)))


@app.command()
def split(
    source: Source,
    into: Annotated[Path, typer.Argument(help="A folder for train.jsonl and validation.jsonl.")],
    validation: Annotated[
        float | None, typer.Option(help="Share to hold out; by the number of rows if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed holds out other rows.")] = 42,
    format: Format = "auto",
    mapping: Mapping = None,
) -> None:
    """Part the rows into those to train on and those held out, the way a run does."""
    from tunekit.data.parting import split as part

    sides = part(_data(source, format, mapping), validation=validation, seed=seed, into=into)
    output.show(f"{into}: {len(sides.train):,} rows to train on; held out {sides.policy}")


@app.command()
def stats(
    source: Source,
    model: Annotated[
        str | None, typer.Option(help="Whose tokens to count; estimated if not given.")
    ] = None,
    format: Format = "auto",
    mapping: Mapping = None,
    html: Page = None,
) -> None:
    """Count rows, turns, tokens and languages."""
    from tunekit.data.figures import stats as count

    made = count(_data(source, format, mapping), model=model)
    output.show(str(made))
    _page(made, html)


def _page(made: Any, html: Path | None) -> None:
    if html is not None:
        output.note(f"wrote {made.html(html)}")
