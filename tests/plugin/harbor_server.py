"""Harbor's side, on loopback: sixty lines of rules over a real HTTP server."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from tunekit.testing import write_adapter
from tunekit.testing.providers.server import LoopbackServer, Reply, Request

PATH = ("moored", "at sea", "at sea", "at sea")
KEY = "harbor-key-1234567"


class LoopbackHarbor(LoopbackServer):
    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Reply({"error": {"message": "who goes there?"}}, 401)
        _, place, *rest = request.path.split("/")
        reply: Reply = getattr(self, f"_{request.method}_{place}".lower())(request, *rest)
        return reply

    def _get_files(self, request: Request, name: str) -> Reply:
        if name not in self.files:
            return Reply({"error": {"message": "not here"}}, 404)
        return Reply({"id": name})

    def _put_files(self, request: Request, name: str) -> Reply:
        if hashlib.sha256(request.body).hexdigest() != name:
            return Reply({"error": {"message": "these are other bytes"}}, 400)
        self.files[name] = request.body
        return Reply({"id": name})

    def _get_quote(self, request: Request) -> Reply:
        return Reply({"dollars": 2.5 * float(request.query["passes"])})

    def _post_jobs(self, request: Request, *rest: str) -> Reply:
        if rest:
            self.jobs[rest[0]].setdefault("end", "recalled")
            return Reply({})
        order = request.json()
        job_id = f"ship-{len(self.jobs) + 1}"
        self.jobs[job_id] = {"order": order, "looks": 0}
        return Reply({"id": job_id})

    def _get_jobs(self, request: Request, *rest: str) -> Reply:
        if not rest:
            mark = request.query["mark"]
            found = [{"id": k} for k, job in self.jobs.items() if job["order"]["mark"] == mark]
            return Reply({"jobs": found})
        if rest[0] not in self.jobs:
            return Reply({"error": {"message": f"no ship {rest[0]}"}}, 404)
        return self._cargo(rest) if len(rest) > 1 else self._look(rest[0])

    def _look(self, job_id: str) -> Reply:
        job = self.jobs[job_id]
        at = job["looks"]
        job["looks"] += 1
        if at >= len(PATH):
            job.setdefault("end", "sunk" if job["order"].get("storm") else "home")
        state = job.get("end") or PATH[at]
        reason = "a storm off the cape" if state == "sunk" else ""
        losses = [2.0 / step for step in range(1, min(at, 3) + 1)]
        told = {"state": state, "reason": reason, "losses": losses, "order": job["order"]}
        return Reply(told)

    def _cargo(self, rest: tuple[str, ...]) -> Reply:
        job_id, _, name = rest
        order = self.jobs[job_id]["order"]
        with tempfile.TemporaryDirectory() as folder:
            write_adapter(Path(folder), model=order["model"], rank=order["rank"])
            return Reply((Path(folder) / name).read_bytes())
