"""Near copies among 20,000 rows, by ours and by `datasketch`; a process each.

`python benchmarks/near.py [ROWS]`. `datasketch` may have a Python of its own:
`DATASKETCH_PYTHON=/path/to/python`. Both get the same texts, word 5-grams and a threshold of 0.8;
`datasketch` as its documentation shows it, and once more with its candidates compared.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = """
from tunekit.data.near import Near
near = Near()
for text in texts:
    near.add(text)
pairs = [(earlier, later) for later, (earlier, _) in near.pairs().items()]
"""
THEIRS = """
from datasketch import MinHash, MinHashLSH
index, sketches, pairs = MinHashLSH(threshold=0.8, num_perm=PERMUTATIONS), [], []
for later, text in enumerate(texts):
    words = text.split()
    sketch = MinHash(num_perm=PERMUTATIONS)
    sketch.update_batch([" ".join(words[i:i + 5]).encode() for i in range(len(words) - 4)])
    near = [(sketch.jaccard(sketches[earlier]), earlier) for earlier in index.query(sketch)]
    near = [found for found in near if not COMPARED or found[0] >= 0.8]
    if near:
        pairs.append((max(near)[1], later))
    index.insert(later, sketch)
    sketches.append(sketch)
"""
FRAME = """
import json, resource, sys, time
texts = json.load(open(sys.argv[1]))
begun = time.perf_counter()
{way}
taken = time.perf_counter() - begun
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({{"pairs": pairs, "seconds": taken, "memory": memory}}))
"""


def theirs(permutations: int, *, compared: bool) -> str:
    return THEIRS.replace("PERMUTATIONS", str(permutations)).replace("COMPARED", str(compared))


WAYS = {
    "tunekit": OURS,
    "datasketch, 128 permutations": theirs(128, compared=False),
    "datasketch, 128, candidates compared": theirs(128, compared=True),
    "datasketch, 256, candidates compared": theirs(256, compared=True),
}


def planted(count: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Make texts of 60 to 220 words; a tenth are copies with words changed, half of them slightly.

    The same ones every time, and those of `tests/data/test_near.py`.
    """
    pick = random.Random(11)
    words = [f"w{n}" for n in range(5000)]
    copies = count // 10
    texts = [" ".join(pick.choices(words, k=pick.randint(60, 220))) for _ in range(count - copies)]
    pairs: list[tuple[int, int]] = []
    for number in range(copies):
        source = pick.randrange(count - copies)
        copy = texts[source].split()
        for _ in range(pick.randint(1, 3) if number % 2 else len(copy) // 8):
            copy[pick.randrange(len(copy))] = pick.choice(words)
        pairs.append((source, len(texts)))
        texts.append(" ".join(copy))
    return texts, pairs


def jaccard(one: str, other: str) -> float:
    """Compare the sets of word 5-grams."""
    a, b = (set(zip(*(text.split()[i:] for i in range(5)), strict=False)) for text in (one, other))
    return len(a & b) / len(a | b)


def measure(way: str, source: Path) -> dict[str, object] | None:
    """Give pairs, seconds and memory, or None where the package is missing."""
    python = os.environ.get("DATASKETCH_PYTHON") if "datasketch" in way else None
    command = [python or sys.executable, "-c", FRAME.format(way=way), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1])
        return None
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    texts, every = planted(count)
    copies = {pair for pair in every if jaccard(*(texts[i] for i in pair)) >= 0.85}
    print(f"{count} rows, {len(copies)} of them copies with a similarity of 0.85 or more")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "texts.json")
        source.write_text(json.dumps(texts))
        for name, way in WAYS.items():
            found = measure(way, source)
            if found is None:
                print(f"{name}: not installed")
                continue
            pairs = {tuple(sorted(pair)) for pair in found["pairs"]}  # type: ignore[attr-defined]
            false = sum(jaccard(*(texts[i] for i in pair)) < 0.8 for pair in pairs)
            print(
                f"{name}: found {len(copies & pairs)} of {len(copies)}, {false} of {len(pairs)} "
                f"pairs false ({false / len(pairs):.2%}), {found['seconds']:.1f} s, "
                f"peak {found['memory']} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
