"""What `datasets` and the Together SDK say of the malformed files of the tests, beside ours.

`python benchmarks/malformed.py`; the Together SDK may have a Python of its own:
`TOGETHER_PYTHON=/path/to/python`. Writes a table of Markdown.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.data.test_malformed import CASES
from tests.data.test_odd import ODD
from tunekit.data import check

DATASETS = """
import sys, tempfile
import datasets
datasets.disable_progress_bars()
suffix = source[source.rfind("."):]
kind = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}.get(suffix, "json")
more = {"sep": chr(9)} if suffix == ".tsv" else {}
with tempfile.TemporaryDirectory() as cache:
    try:
        made = datasets.load_dataset(kind, data_files=source, cache_dir=cache, split="train",
                                     **more)
        print("takes", len(made))
    except Exception as error:
        text = f"{error} {error.__cause__}"
        print("refuses", "line" if "line" in text.lower() or "row" in text.lower() else "no line")
"""
TOGETHER = """
import sys
from pathlib import Path
from together.lib.utils import check_file
found = check_file(Path(source))
ok = found["is_check_passed"]
text = str(found.get("message")) + str(found.get("load_json"))
print("takes" if ok else "refuses", "line" if "line" in text.lower() else "no line")
"""


def says(code: str, source: Path, python: str) -> str:
    """Give what another reader does with a file: takes, refuses or crashes."""
    frame = f"source = {str(source)!r}\n{code}"
    done = subprocess.run([python, "-c", frame], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 and done.stdout else "crashes"


def ours(source: Path) -> str:
    """Give the codes that stop a run, or that the file is taken."""
    report = check(str(source), quality=False)
    stopping = [code for code, severity in report.severities.items() if severity == "error"]
    return ", ".join(stopping) or "takes"


def main() -> None:
    together = os.environ.get("TOGETHER_PYTHON", sys.executable)
    files = {**CASES, **ODD}
    tally: dict[str, Counter[str]] = {"datasets": Counter(), "together": Counter()}
    print("| file | tunekit | datasets | together |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for index, (name, (file, content, *_)) in enumerate(files.items()):
            source = Path(folder, f"{index}-{file}")
            source.write_bytes(content)
            theirs = says(DATASETS, source, sys.executable), says(TOGETHER, source, together)
            print(f"| {name} | {ours(source)} | {theirs[0]} | {theirs[1]} |", flush=True)
            side = f"{'malformed' if name in CASES else 'odd'} {source.suffix.lstrip('.')}"
            for who, said in zip(tally, theirs, strict=True):
                tally[who][f"{side} {said.split()[0]}"] += 1
    for who, counts in tally.items():
        print(f"{who}: " + ", ".join(f"{what} {count}" for what, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
