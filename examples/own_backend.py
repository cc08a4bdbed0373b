"""A backend of your own: five verbs, here over job cards as a workshop keeps them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import tunekit as tk
from tunekit.events import StateEvent
from tunekit.testing import write_adapter

WORDS = ("card written", "at work", "on the shelf", "broken", "called off")
STATES = dict(zip(WORDS, tk.JobState, strict=True))


@dataclass(frozen=True, kw_only=True)
class Workshop(tk.Backend):
    name: ClassVar[str] = "workshop"
    capabilities: ClassVar[tk.Capabilities] = tk.Capabilities(metrics=False)
    poll_seconds: float = field(default=0.1, init=False, repr=False)
    power: bool = True

    def plan(self, spec: tk.FineTune, model: Any, data: Any) -> tk.Plan:
        use = tk.Ledger(spec)
        card = {"base": use.take("model"), "objective": use.take("objective.type")}
        if spec.method.type == "lora":
            card |= {"method": use.take("method.type"), "rank": use.take("method.rank")}
        for group in ("data", "validation", "evaluation", "output", "extra"):
            use.hold(group)  # tunekit sees to these itself
        for group in ("method", "objective", "training"):  # whatever is left of them
            use.refuse(group, "the workshop decides")  # stops the run only if the user set it
        return use.close({**card, **spec.extra.get(self.name, {})}, backend=self.name)

    def submit(self, plan: tk.Plan, files: tk.Files, key: str) -> tk.JobId:
        path = files.job / f"{key}.json"
        if not path.exists():  # at most one job for a key
            path.write_text(json.dumps({**plan.request, "history": ["card written"]}))
        return tk.JobId(str(path))

    def poll(self, job_id: tk.JobId, cursor: str | None) -> tk.Update:
        card = self._read(job_id)
        words = card["history"]
        ahead = {"card written": "at work", "at work": "on the shelf" if self.power else "broken"}
        if cursor is not None and words[-1] in ahead:  # each look brings this workshop a step on
            words.append(ahead[words[-1]])
            Path(job_id).write_text(json.dumps(card))
        said = [StateEvent(id=word, state=STATES[word], native=word) for word in words]
        return tk.Update(
            state=STATES[words[-1]],
            native=words[-1],
            cursor=str(len(words)),
            events=tuple(said[int(cursor or 0) :]),
            reason="the power is out" if words[-1] == "broken" else "",
        )

    def cancel(self, job_id: tk.JobId) -> None:
        card = self._read(job_id)
        if not STATES[card["history"][-1]].terminal:
            card["history"].append("called off")
            Path(job_id).write_text(json.dumps(card))

    def fetch(self, job_id: tk.JobId, into: Path) -> None:
        card = self._read(job_id)
        if card["history"][-1] != "on the shelf":
            raise tk.errors.BackendError(f"{job_id} is not on the shelf", backend=self.name)
        write_adapter(into, model=card["base"])  # stands for a download

    def _read(self, job_id: str) -> dict[str, Any]:
        if not Path(job_id).exists():
            raise tk.errors.BackendError(f"there is no card {job_id}", backend=self.name)
        return dict(json.loads(Path(job_id).read_text()))


if __name__ == "__main__":
    rows = [{"prompt": f"{n} + 1 =", "completion": str(n + 1)} for n in range(20)]
    wish = tk.FineTune(model="org/a-model", data=rows, method=tk.LoRA(rank=4))
    print(tk.plan(wish, Workshop()), tk.run(wish, Workshop()), sep="\n\n")
