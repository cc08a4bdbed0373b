"""Reading and checking chat JSONL, beside `datasets` and the Together SDK; a process each.

`python benchmarks/data.py [MEGABYTES]`, 1000 by default. The Together SDK may have a Python of its
own: `TOGETHER_PYTHON=/path/to/python`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

WAYS = {
    "tunekit, form and hash": """
from tunekit.data import check
print(check(source, quality=False).rows)
""",
    "tunekit, full report": """
from tunekit.data import check
print(check(source).rows)
""",
    "datasets.load_dataset": """
import datasets
datasets.disable_progress_bars()
print(len(datasets.load_dataset("json", data_files=source, cache_dir=cache, split="train")))
""",
    "together check_file": """
from pathlib import Path
from together.lib.utils import check_file
found = check_file(Path(source))
print(found.get("num_samples") if isinstance(found, dict) else found.num_samples)
""",
}
FRAME = """
import resource, sys, time
source, cache = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun = time.perf_counter()
{way}
taken = time.perf_counter() - begun
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def write(path: Path, *, megabytes: int) -> None:
    """Write chats of about 1 kB; the same ones every time."""
    pick = random.Random(1)
    letters = "abcdefghijklmnoprstuvw"
    words = ["".join(pick.choices(letters, k=pick.randint(2, 9))) for _ in range(20_000)]

    def said(role: str, count: int) -> dict[str, str]:
        return {"role": role, "content": " ".join(pick.choices(words, k=count))}

    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 10**6:
            asked, answer = (
                said("user", pick.randint(20, 60)),
                said("assistant", pick.randint(40, 160)),
            )
            file.write(json.dumps({"messages": [asked, answer]}) + "\n")


def measure(way: str, source: Path, cache: Path) -> tuple[str, float, int] | None:
    """Give rows, seconds and the peak memory in MB, or None where the package is missing."""
    apart = "TOGETHER_PYTHON" if "together" in way else ""
    done = subprocess.run(
        [
            os.environ.get(apart, sys.executable),
            "-c",
            FRAME.format(way=way),
            str(source),
            str(cache),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1])
        return None
    *_, rows, figures = done.stdout.strip().splitlines()
    seconds, memory = figures.split()
    return rows, float(seconds), int(memory)


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "chats.jsonl")
        write(source, megabytes=megabytes)
        print(f"{megabytes} MB of chats")
        for name, way in WAYS.items():
            found = measure(way, source, Path(folder, "cache"))
            if found is None:
                print(f"{name}: not installed")
                continue
            rows, seconds, memory = found
            speed = megabytes / seconds
            print(f"{name}: {rows} rows, {seconds:.1f} s, {speed:.0f} MB/s, peak {memory} MB")


if __name__ == "__main__":
    main()
