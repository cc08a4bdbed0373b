"""A web application that fine-tunes: people paste rows, start runs, and watch several at once.

python examples/service.py [MODEL]        then open http://127.0.0.1:8000
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import tunekit as tk

PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
)


def application(model: str, backend: str | Mapping[str, Any] | tk.Backend = "local") -> Starlette:
    """Serve one model on one backend; visitors choose neither, only rows, name and steps."""

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

    async def submit(request: Request) -> Response:
        wanted = await body(request)
        spec = tk.FineTune(
            model=model,
            data=[json.loads(line) for line in wanted["rows"].splitlines() if line.strip()],
            training=tk.Training(max_steps=wanted.get("steps", 20)),
            output=tk.Output(name=wanted.get("name")),
        )
        return JSONResponse(facts(await tk.asubmit(spec, backend)), status_code=201)

    async def listed(request: Request) -> Response:
        return JSONResponse([facts(run) for run in await asyncio.to_thread(tk.runs)])

    async def events(request: Request) -> Response:
        run = await asyncio.to_thread(tk.get, request.path_params["id"])
        # A browser that lost the connection says how far it has got.
        after = int(request.headers.get("last-event-id", -1))
        return StreamingResponse(
            stream(run, after),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    async def cancel(request: Request) -> Response:
        await body(request)
        run = await asyncio.to_thread(tk.get, request.path_params["id"])
        return JSONResponse(facts(await asyncio.to_thread(run.cancel)))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/runs", listed),
            Route("/runs", submit, methods=["POST"]),
            Route("/runs/{id}/events", events),
            Route("/runs/{id}/cancel", cancel, methods=["POST"]),
        ],
        # Only pages of this server may call it, under names that are its own.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={tk.TunekitError: sorry, ValueError: sorry, KeyError: sorry},
    )


async def body(request: Request) -> Any:
    """Read JSON that is marked as such, which browsers do not let other sites send."""
    if request.headers.get("content-type") != "application/json":
        raise ValueError("send application/json")
    return await request.json()


async def stream(run: tk.Run, after: int) -> AsyncIterator[str]:
    """Give a run's events as server-sent events, numbered, until the run is over."""
    number = -1
    async for event in run.events():
        number += 1
        if number > after:
            yield f"id: {number}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
    yield f"event: end\ndata: {json.dumps(facts(run))}\n\n"


def facts(run: tk.Run) -> dict[str, Any]:
    return {"id": run.id, "state": run.state, "model": run.plan.model, "reason": run.reason}


async def sorry(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, tk.errors.RunError) else 400
    text = str(error) if isinstance(error, tk.TunekitError) else f"not as expected: {error!r}"
    return JSONResponse({"error": text}, status_code=status)


if __name__ == "__main__":
    import uvicorn

    chosen = sys.argv[1] if len(sys.argv) > 1 else "embedded:smollm2-135m"
    uvicorn.run(application(chosen), host="127.0.0.1", port=8000)
