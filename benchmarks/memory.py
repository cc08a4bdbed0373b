"""Measure the peak memory of ten CPU runs beside the estimate of it; writes a table of Markdown.

    python benchmarks/memory.py [NUMBER ...]

Each run is a worker of its own, of three steps. The estimate gets the tokens that passed at once as
the trainer counted them, so the table judges the closed form and not the guess of a row's length.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.local.peak import SMOL, TINY, Configuration, measure
from tunekit.home import home

LORA = {"type": "lora", "rank": 16}
FULL = {"type": "full"}
NF4 = {"type": "qlora", "rank": 16}
INT8 = {"type": "qlora", "rank": 16, "quantization": "int8"}
CONFIGURATIONS = (
    Configuration(TINY, LORA, 4, 20),
    Configuration(TINY, FULL, 8, 20),
    Configuration(SMOL, LORA, 1, 100),
    Configuration(SMOL, LORA, 2, 200),
    Configuration(SMOL, LORA, 4, 200),
    Configuration(SMOL, LORA, 4, 200, checkpointing=True),
    Configuration(SMOL, FULL, 2, 200),
    Configuration(SMOL, FULL, 2, 200, checkpointing=True),
    Configuration(SMOL, NF4, 2, 200),
    Configuration(SMOL, INT8, 2, 200, checkpointing=True),
    Configuration(SMOL, LORA, 2, 100, objective="dpo"),
)


def main() -> None:
    """Measure all, or those whose numbers are given."""
    chosen = [int(number) for number in sys.argv[1:]] or range(len(CONFIGURATIONS))
    converted = home() / "models"
    converted.mkdir(parents=True, exist_ok=True)
    print("| configuration | tokens at once | measured, MB | estimated, MB | off by |")
    print("| --- | --- | --- | --- | --- |")
    for number in chosen:
        configuration = CONFIGURATIONS[number]
        with tempfile.TemporaryDirectory() as folder:
            # Runs are thrown away; the converted model is kept.
            (Path(folder) / "models").symlink_to(converted)
            os.environ["TUNEKIT_HOME"] = folder
            found = measure(configuration, Path(folder))
        row = (
            str(configuration),
            f"{found.tokens}",
            f"{found.peak / 1e6:.0f}",
            f"{found.predicted.total / 1e6:.0f}",
            f"{100 * found.error:+.0f} %",
        )
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
