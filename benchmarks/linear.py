"""Show that cost grows in proportion to tokens, of a run and of a row.

    python benchmarks/linear.py [--tokens 1000000] [--steps 3]

The embedded model, LoRA of rank 16, bfloat16. A run over so many tokens in rows of about 512: the
seconds since its first step when 1k, 4k, 16k ... are done. Then rows of 128 to 8,192 tokens,
8,192 tokens a step: tokens per second after the first step. Writes docs/images/linear.svg.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import chats
from scratch import scratch

import tunekit as tk

CHART = Path(__file__).parent.parent / "docs" / "images" / "linear.svg"
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
STEP = 8192
"""Tokens of a step where rows of different lengths are compared."""


def marks(data: Path, *, rows: int, steps: int) -> list[tuple[float, float]]:
    """Train; give the time and the tokens so far at the end of each step."""
    spec = tk.FineTune(
        model="embedded:smollm2-135m",
        data=data,
        method={"type": "lora", "rank": 16},
        training={
            "max_steps": steps,
            "batch_size": rows,
            "learning_rate": 1e-4,
            "dtype": "bfloat16",
            "checkpoint_steps": 100_000,
            "gradient_checkpointing": False,
        },
        validation=None,
        evaluation={"enabled": False},
        extra={
            "local": {
                "trainer": {"per_device_train_batch_size": rows, "gradient_accumulation_steps": 1}
            }
        },
    )
    run = tk.run(spec, progress=False)
    return [
        (event.time, event.metrics["num_tokens"])
        for event in run.events(follow=False)
        if event.kind == "metrics" and "num_tokens" in event.metrics
    ]


def whole(place: Path, tokens: int) -> list[tuple[float, float]]:
    """Give tokens and seconds of one run, at powers of 4 of a thousand tokens."""
    rows = max(16, tokens // 512)
    data = chats.texts(place / "whole.jsonl", words=430, rows=rows)
    found = marks(data, rows=4, steps=rows // 4)
    (start, before), wanted, points = found[0], 1000.0, []
    for at, count in found[1:]:
        if count - before >= wanted:
            points.append((count - before, at - start))
            wanted *= 4
    points.append((found[-1][1] - before, found[-1][0] - start))
    return points


def lengths(place: Path, steps: int) -> list[tuple[float, float]]:
    """Give real tokens of a row and tokens per second."""
    points = []
    for length in LENGTHS:
        rows = max(1, STEP // length)
        data = chats.texts(
            place / f"{length}.jsonl", words=round(length * 0.84), rows=rows * (steps + 1)
        )
        found = marks(data, rows=rows, steps=steps + 1)
        (start, before), (end, total) = found[0], found[-1]
        points.append(((total - before) / (rows * steps), (total - before) / (end - start)))
        print(f"{points[-1][0]:.0f} tokens a row: {points[-1][1]:.0f} tokens/s", flush=True)
    return points


def chart(points: Sequence[tuple[float, float]], into: Path) -> None:
    """Draw seconds over tokens, both by powers of ten."""
    import pygal
    from pygal.style import CleanStyle

    drawn: Any = pygal.XY(
        style=CleanStyle,
        disable_xml_declaration=True,
        js=(),
        show_legend=True,
        legend_at_bottom=True,
        x_title="tokens trained on",
        y_title="seconds since the first step",
        width=720,
        height=420,
        x_labels=[{"value": n, "label": f"10^{n}"} for n in range(3, 7)],
        y_labels=[{"value": n, "label": f"{10.0**n:g}"} for n in range(4)],
    )
    logs = [(math.log10(tokens), math.log10(seconds)) for tokens, seconds in points]
    tokens, seconds = points[-1]
    ideal = [(math.log10(n), math.log10(n * seconds / tokens)) for n, _ in points]
    drawn.add("measured", logs)
    drawn.add("in proportion", ideal, show_dots=False, stroke_style={"dasharray": "4, 4"})
    into.write_text(str(drawn.render()), encoding="utf-8")


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    with scratch() as folder:
        lengths(folder, options.steps)
        points = whole(folder, options.tokens)
    for tokens, seconds in points:
        print(f"{tokens:9.0f} tokens {seconds:8.1f} s {tokens / seconds:6.0f} tokens/s", flush=True)
    chart(points, CHART)


if __name__ == "__main__":
    main()
