"""Commands that judge a run that is over: eval, mitigate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunekit.cli import exits, gate, output
from tunekit.cli.options import AsJson, RunId
from tunekit.evaluation.figures import percent
from tunekit.evaluation.mitigation import KEEP
from tunekit.running import run as life
from tunekit.running.mitigation import Mitigated


def evaluate(
    run: RunId,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Measure on these rows, not on those that the run held out.",
            show_default=False,
        ),
    ] = None,
    endpoint: Annotated[
        bool,
        typer.Option(
            "--endpoint", help="Ask the models where they are served: answers only, no losses."
        ),
    ] = False,
    junit: gate.JUnit = None,
    as_json: AsJson = False,
) -> None:
    """Measure base and tuned model of a run again, on this machine, wherever it was trained.

    Exits with 7 when the gate of the run's spec does not hold.
    """
    found = life.get(run)
    comparison = found.evaluate(data, endpoint=endpoint)
    if as_json:
        output.emit(comparison.model_dump(mode="json"))
    else:
        output.show(comparison)
    gate.close(found, junit=junit, as_json=as_json)


def mitigate(
    run: RunId,
    keep: Annotated[
        float,
        typer.Option("--keep", min=0, max=1, help="Share of the gain that must be left."),
    ] = KEEP,
    as_json: AsJson = False,
) -> None:
    """Use less of an adapter that forgets too much: the most that keeps the gain and passes.

    The weaker adapter is written beside the run's own. Exits with 7 where no scale helps.
    """
    made = life.get(run).mitigate(keep=keep)
    if as_json:
        facts = made.found.model_dump(mode="json")
        output.emit({**facts, "adapter": str(made.adapter) if made.adapter else None})
    else:
        _show(made)
    if made.found.chosen is None:
        raise typer.Exit(exits.GATE)


def _show(made: Mitigated) -> None:
    rows = [
        [
            f"{step.scale:g}",
            f"{step.loss:.3f}",
            percent(step.kept),
            step.forgetting.status,
            ", ".join(f"{sign.name} {sign.value:.3f}" for sign in step.forgetting.signals),
        ]
        for step in made.found.steps
    ]
    output.show(output.table(["scale", "loss", "gain kept", "forgetting", "signs"], rows))
    if made.found.comparison is not None:
        output.show("")
        output.show(made.found.comparison)
    if made.found.chosen is None:
        output.note(
            "no scale forgets little enough and keeps the gain; train again with "
            "training.replay: {source: general, ratio: 0.1}, or half the learning rate"
        )
    elif made.adapter is None:
        typer.echo("the adapter passes as it is")
    else:
        typer.echo(f"scale {made.found.chosen:g}: {made.adapter}")
