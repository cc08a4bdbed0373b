"""Train eight adapters one after another, then the same eight at once, and compare time and memory.

    python benchmarks/many.py [--tenants 8] [--steps 30] [--batch 4] [--rank 8] [--quick]

Each adapter has its part of the demo's rows and all are measured on the same unseen requests, as
`tunekit.run` does by default. Prints seconds from the first start to the last end, the largest
resident memory of a worker (Linux), both ratios, and how far the last losses are apart.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local import peak_of
from scratch import scratch

import tunekit as tk
from tunekit.running.many import submit_many

DATA = Path(__file__).parent.parent / "examples" / "data"
GOALS = {"time": 1.5, "memory": 1.3}
"""At least so many times as fast, at most so many times the memory."""


@dataclass(frozen=True)
class Measured:
    """What some runs took."""

    seconds: float
    peak: float
    """In MB, of the largest worker."""
    losses: list[float]
    """The last training loss of each run."""


def specs(options: argparse.Namespace, folder: Path) -> list[tk.FineTune]:
    """Share the rows of the demo out, every n-th to one adapter."""
    rows = (DATA / "support.jsonl").read_text(encoding="utf-8").splitlines()
    made: list[tk.FineTune] = []
    for number in range(options.tenants):
        file = folder / f"tenant-{number}.jsonl"
        own = rows[number :: options.tenants]
        file.write_text("".join(f"{row}\n" for row in own), encoding="utf-8")
        made.append(
            tk.FineTune(
                model=options.model,
                data=str(file),
                validation=None if options.unmeasured else str(DATA / "support_unseen.jsonl"),
                method={"type": "lora", "rank": options.rank},
                training={
                    "max_steps": options.steps,
                    "batch_size": options.batch,
                    "dtype": options.dtype,
                    "learning_rate": 5e-4,
                    "seed": number,
                },
                evaluation={"enabled": not options.unmeasured},
                output={"name": f"tenant-{number}"},
            )
        )
    return made


def measure(runs: Sequence[tk.Run], start: float) -> Measured:
    """Watch the workers of runs until all are over."""
    peaks = [0.0]
    while not all(run.refresh().state.terminal for run in runs):
        peaks += [peak_of(run) for run in runs]
        time.sleep(0.1)
    for run in runs:
        run.wait()
    return Measured(time.monotonic() - start, max(peaks), [_last_loss(run) for run in runs])


def alone(made: Sequence[tk.FineTune]) -> list[Measured]:
    """Run one spec after another, each in a process of its own."""
    found: list[Measured] = []
    for spec in made:
        start = time.monotonic()
        found.append(measure([tk.submit(spec)], start))
        print(f"{len(found)}/{len(made)} alone: {found[-1]}", flush=True)
    return found


def together(made: Sequence[tk.FineTune]) -> Measured:
    """Run all in one process."""
    start = time.monotonic()
    return measure(submit_many(made), start)


def report(singles: Sequence[Measured], many: Measured) -> None:
    """Print a table of Markdown."""
    seconds, peak = (
        sum(one.seconds for one in singles),
        statistics.median(one.peak for one in singles),
    )
    apart = max(abs(one.losses[0] - loss) for one, loss in zip(singles, many.losses, strict=True))
    faster, larger = seconds / many.seconds, many.peak / peak
    print("| figure | one after another | at once | ratio | goal |")
    print("| --- | --- | --- | --- | --- |")
    print(
        f"| seconds | {seconds:.1f} | {many.seconds:.1f} | {faster:.2f} times as fast "
        f"| at least {GOALS['time']} |"
    )
    print(
        f"| peak memory, MB | {peak:.0f} | {many.peak:.0f} | {larger:.2f} "
        f"| at most {GOALS['memory']} |"
    )
    print(f"The last losses are at most {apart:.1e} apart.")


def _last_loss(run: tk.Run) -> float:
    events = run.events(follow=False)
    return [e.metrics["loss"] for e in events if e.kind == "metrics" and "loss" in e.metrics][-1]


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument("--tenants", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--unmeasured", action="store_true", help="only train")
    parser.add_argument(
        "--quick", action="store_true", help="two adapters, three steps, unmeasured"
    )
    given = parser.parse_args()
    if given.quick:
        given.tenants, given.steps, given.unmeasured = 2, 3, True
    return given


def main() -> None:
    """Measure and print."""
    given = options()
    with scratch("kernels") as place:
        made = specs(given, place)
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, {given.dtype}: {given.tenants} "
            f"adapters of rank {given.rank}, {given.steps} steps of {given.batch} rows",
            flush=True,
        )
        singles = alone(made)
        report(singles, together(made))


if __name__ == "__main__":
    main()
