"""Three runs of which the verdict is known beforehand: a good one, one far too hot, one on noise.

    python benchmarks/verdicts.py [good] [hot] [replay] [shuffled]

The embedded model on the rows of the demo. "good" mixes in what the base itself says; "hot" does
not, at three times the rate, and is then mitigated; "replay" is as hot, with the base's answers;
"shuffled" answers each request with the answer of another.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from scratch import scratch

import tunekit as tk

DATA = Path(__file__).parent.parent / "examples" / "data"
RATE, TOO_HOT = 1e-3, 3e-3
COLUMNS = (
    *("run", "verdict", "held-out loss", "forgetting"),
    *("general loss", "divergence", "agreement", "s"),
)
NAMES = ("good", "hot", "replay", "shuffled")


def spec(rows: Path, training: dict[str, Any]) -> tk.FineTune:
    """Give the spec of the demo with other rows and settings."""
    return tk.FineTune(
        model="embedded:smollm2-135m",
        data=rows,
        validation=DATA / "support_unseen.jsonl",
        method={"type": "lora", "rank": 16},
        training={"epochs": 1, "batch_size": 8, **training},
        evaluation={"generations": 50, "max_new_tokens": 96, "forgetting": True},
    )


def shuffled(place: Path) -> Path:
    """Write the rows of the demo with their answers dealt out anew."""
    rows = [json.loads(line) for line in (DATA / "support.jsonl").read_text("utf-8").splitlines()]
    answers = [row["messages"][-1] for row in rows]
    random.Random(0).shuffle(answers)
    for row, answer in zip(rows, answers, strict=True):
        row["messages"][-1] = answer
    path = place / "shuffled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def told(name: str, run: tk.Run, seconds: float) -> str:
    """Give a line of Markdown with what the evaluation says."""
    found = run.evaluation
    assert found is not None and found.forgetting is not None
    first = found.differences[0]
    signs = {sign.name: f"{sign.value:.3f} ({sign.status})" for sign in found.forgetting.signals}
    loss = next(each for each in found.differences if each.name == "loss")
    return (
        f"| {name} | {first.verdict}: {first.name} {first.base:.2f} -> {first.tuned:.2f} "
        f"({first.low:+.2f} to {first.high:+.2f}) | {loss.base:.2f} -> {loss.tuned:.2f} "
        f"| {found.forgetting.status} | {signs['general_loss']} | {signs['divergence']} "
        f"| {signs['agreement']} | {seconds:.0f} |"
    )


def weaker(run: tk.Run) -> None:
    """Print every scale that `mitigate` tries, and the one that it takes."""
    start = time.monotonic()
    found = run.mitigate(keep=0.9)
    print(f"\nscales, {time.monotonic() - start:.0f} s: taken is {found.found.chosen}\n")
    print(found.found.model_dump_json(indent=1), flush=True)


def main() -> None:
    """Train the runs that are named, or all, and print a table."""
    names = sys.argv[1:] or NAMES
    print(
        "| run | verdict | held-out loss | forgetting | general loss | divergence | agreement | s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with scratch() as folder:
        for name in names:
            rows = shuffled(folder) if name == "shuffled" else DATA / "support.jsonl"
            training: dict[str, Any] = {"learning_rate": RATE}
            if name in ("hot", "replay"):
                training["learning_rate"] = TOO_HOT
            if name in ("good", "replay"):
                training["replay"] = {"source": "self", "ratio": 0.25}
            start = time.monotonic()
            run = tk.run(spec(rows, training), progress=False)
            print(told(name, run, time.monotonic() - start), flush=True)
            if name == "hot":
                weaker(run)


if __name__ == "__main__":
    main()
