"""The command line: a thin typer application over the public functions."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tunekit import __version__
from tunekit.cli import about, begin, data, estimate, exits, serve, start, watch
from tunekit.cli.chat import chat
from tunekit.cli.compare import compare
from tunekit.cli.doctor import DISTRIBUTION
from tunekit.cli.evaluate import evaluate, mitigate
from tunekit.cli.many import run_many
from tunekit.cli.report import report
from tunekit.errors import TunekitError
from tunekit.printable import printable


class _Guarded(TyperGroup):
    """Turn errors into one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TunekitError as error:
            _say(f"error: {error}")
            failure: BaseException = error
            code = exits.code(error)
        except KeyboardInterrupt as error:
            failure = error
            code = exits.INTERRUPTED
        except Exception as error:
            # What typer raises on purpose: exits, usage errors, a closed pipe.
            if hasattr(error, "exit_code") or isinstance(error, (typer.Abort, BrokenPipeError)):
                raise
            _apologise(error)
            failure = error
            code = exits.INTERNAL
        if _debug(ctx):
            traceback.print_exception(failure)
        raise typer.Exit(code)


def _debug(ctx: Any) -> bool:
    return bool(ctx.params.get("debug")) or os.environ.get("TUNEKIT_DEBUG", "") not in ("", "0")


def _apologise(error: Exception) -> None:
    _say(
        f"sorry, this is a fault in tunekit: {type(error).__name__}: {error}\n"
        f"Run it again with TUNEKIT_DEBUG=1 and report what it prints to {_tracker()}"
    )


def _tracker() -> str:
    """Give the address for reports that the installed package names."""
    try:
        urls = metadata(DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    found = (url.partition(", ") for url in urls)
    return next((url for name, _, url in found if name == "Issues"), "the project's issue tracker")


def _say(text: str) -> None:
    typer.echo(printable(text), err=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tunekit {__version__}")
        raise typer.Exit


_EPILOG = "\n\n".join(["Exit codes:", *(f"{n} {text}" for n, text in exits.MEANINGS.items())])

app = typer.Typer(
    name="tunekit",
    cls=_Guarded,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)


@app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; as TUNEKIT_DEBUG=1.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Fine-tune language models from one spec, on this machine or a managed service."""


_COMMANDS = (
    *(
        start.run,
        run_many,
        start.plan,
        watch.runs,
        watch.show,
        watch.logs,
        watch.wait,
        watch.cancel,
    ),
    *(report, compare, chat),
    *(start.resume, start.attach, serve.deploy, serve.undeploy, serve.dev),
    *(estimate.estimate, begin.schema, begin.init, about.backends, about.doctor),
)
for _command in _COMMANDS:
    app.command()(_command)
app.command("eval")(evaluate)
app.command()(mitigate)
app.add_typer(data.app)


def main() -> None:
    """Run the command line."""
    app(prog_name="tunekit", args=sys.argv[1:])


if __name__ == "__main__":
    main()
