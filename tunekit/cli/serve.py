"""Commands that serve something: deploy, undeploy, dev."""

from __future__ import annotations

import signal
import threading
from importlib import import_module
from typing import Annotated, Any, Literal

import typer

from tunekit import embedded
from tunekit.cli import output
from tunekit.cli.options import AsJson, RunId
from tunekit.running.run import get

_PROVIDERS = {
    "together": ("LoopbackTogether", "TOGETHER"),
    "fireworks": ("LoopbackFireworks", "FIREWORKS"),
}


def deploy(
    run: RunId,
    ask: Annotated[
        str | None, typer.Option(help="A question for the model, once it answers.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it answers.")] = True,
    as_json: AsJson = False,
) -> None:
    """Serve a run's model where it was trained; it costs money until `tunekit undeploy`."""
    endpoint = get(run).deploy()
    if wait or ask:
        endpoint.wait()
    answer = endpoint.chat(ask) if ask else None
    if as_json:
        told = {"endpoint": endpoint.id, "state": endpoint.state, "model": endpoint.model}
        output.emit({**told, "answer": answer})
        return
    typer.echo(f"model    {endpoint.model}")
    typer.echo(f"endpoint {endpoint.id}, {endpoint.state}")
    if answer is not None:
        typer.echo(answer)
    output.note(f"it costs money until `tunekit undeploy {run}`")


def undeploy(run: RunId) -> None:
    """Stop serving a run's model; harmless when nothing is served."""
    found = get(run)
    served = found.endpoint
    found.undeploy()
    typer.echo(f"stopped {served.id}" if served else f"{found.id} is not served")


def dev(
    provider: Annotated[Literal["together", "fireworks"], typer.Argument()],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
) -> None:
    """Start a stand-in for a service on this machine, until Ctrl-C: real HTTP, no training.

    Prints the environment variables that point tunekit to it.
    """
    kind, prefix = _PROVIDERS[provider]
    loopback: Any = getattr(import_module(f"tunekit.testing.providers.{provider}"), kind)
    # Adapters that fit the embedded model can be loaded and tried.
    base = embedded.path() if embedded.is_ready() else None
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    with loopback(port=port, base=base) as server:
        typer.echo(f"export {prefix}_BASE_URL={server.url}")
        typer.echo(f"export {prefix}_API_KEY={server.settings.key}")
        if provider == "fireworks":
            typer.echo(f"export {prefix}_ACCOUNT_ID={server.settings.account}")
        output.note(f"a stand-in for {provider} listens on {server.url}; Ctrl-C stops it")
        while not stop.wait(0.2):
            pass
