"""How long `import tunekit` takes: median of ten fresh interpreters, after one to warm up."""

from __future__ import annotations

import statistics
import subprocess
import sys

BUDGET_MS = 150
CODE = """
import time
start = time.perf_counter()
import tunekit
print((time.perf_counter() - start) * 1000)
"""


def once() -> float:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    once()
    times = [once() for _ in range(10)]
    median = statistics.median(times)
    print(f"import tunekit: {median:.0f} ms (median of 10, worst {max(times):.0f} ms)")
    print(f"budget: {BUDGET_MS} ms")
    return int(median > BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main())
