"""What a gate says to whoever runs the command: exit code, JUnit file, annotations of GitHub."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree

import typer

from tunekit.cli import exits, output
from tunekit.errors import SpecError, TunekitError
from tunekit.evaluation.compare import Comparison
from tunekit.evaluation.gate import conditions
from tunekit.printable import printable
from tunekit.running.run import Run

JUnit = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        metavar="FILE",
        help="Write what the gate says as JUnit XML, a test for each condition.",
        show_default=False,
    ),
]


def close(run: Run, *, junit: Path | None, as_json: bool) -> None:
    """Say what the gate of a run says; exits with 7 where it does not hold.

    A run that was not measured where it was trained is measured here first.
    """
    wanted = run.spec.evaluation.gate
    if wanted is None and junit is None:
        return
    found = run.evaluation
    if found is None and wanted is not None:
        found = _measured(run, as_json)
    given = {} if wanted is None else wanted.model_dump(mode="json")
    tests = list(conditions(found, given)) if wanted else [("run", "")]
    reasons = [reason for _, reason in tests if reason]
    if junit is not None:
        _write(junit, run.id, tests)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in notices(run.id, found, reasons):
            typer.echo(line, err=as_json)
    if reasons:
        output.note("\n  ".join([f"gate: {run.id} is not to be shipped:", *reasons]))
        raise typer.Exit(exits.GATE)


def notices(run_id: str, found: Comparison | None, reasons: list[str]) -> Iterable[str]:
    """Write lines that GitHub shows beside the workflow."""
    title = _escaped(f"tunekit {run_id}", ":,")
    for reason in reasons:
        yield f"::error title={title}::{_escaped(reason)}"
    if not reasons and found is not None and found.verdict:
        yield f"::notice title={title}::{_escaped(found.verdict)}"


def _measured(run: Run, as_json: bool) -> Comparison | None:
    if not (run.folder / "adapter").is_dir():
        return None
    output.note(f"measuring {run.id} on this machine")
    try:
        found = run.evaluate()
    except TunekitError as error:
        output.note(f"warning: {run.id} cannot be measured: {error}")
        return None
    if not as_json:
        output.show(found)
    return found


def _write(path: Path, run_id: str, tests: list[tuple[str, str]]) -> None:
    failed = sum(bool(reason) for _, reason in tests)
    suite = ElementTree.Element(
        "testsuite", name=f"tunekit {run_id}", tests=str(len(tests)), failures=str(failed)
    )
    for name, reason in tests:
        case = _child(suite, "testcase", classname="tunekit.gate", name=name)
        if reason:
            _child(case, "failure", message=printable(reason))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise SpecError(f"--junit: {path} cannot be written: {error.strerror}") from None


def _child(parent: Any, tag: str, **attributes: str) -> Any:
    return ElementTree.SubElement(parent, tag, attributes)


def _escaped(text: str, more: str = "") -> str:
    """Escape as GitHub's toolkit does."""
    for letter in f"%\r\n{more}":
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
