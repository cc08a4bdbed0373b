"""Let a model write answers and learn from the better ones (GRPO): short, and whole sentences.

python examples/rewards.py [MODEL] [STEPS] [TOKENS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tunekit as tk

PREFERENCES = Path(__file__).parent / "data" / "preferences.jsonl"


def brief(completions: list[Any], letters: list[int], **columns: Any) -> list[float]:
    """Give 1 for an answer of at most so many letters, and less the longer it is."""
    lengths = [len(completion[-1]["content"]) for completion in completions]
    return [min(1.0, most / max(1, length)) for most, length in zip(letters, lengths, strict=True)]


def whole(completions: list[Any], **columns: Any) -> list[float]:
    """Give 1 for an answer that ends a sentence."""
    return [
        float(completion[-1]["content"].rstrip()[-1:] in (*".!?",)) for completion in completions
    ]


def main(model: str = "embedded:smollm2-135m", steps: str = "20", tokens: str = "48") -> tk.Run:
    questions = [json.loads(line)["prompt"] for line in PREFERENCES.read_text().splitlines()]
    spec = tk.FineTune(
        model=model,
        # Columns beside the prompt go to the reward functions.
        data=[{"prompt": question, "letters": 60} for question in questions],
        objective=tk.GRPO(
            # By name: the worker imports this file, and runs nothing else of it.
            rewards=[f"{__file__}:brief", f"{__file__}:whole"],
            generations=4,
            max_new_tokens=int(tokens),
        ),
        # Few steps on few prompts: a higher rate than a plan picks for a long run.
        training=tk.Training(max_steps=int(steps), batch_size=16, learning_rate=1e-4),
        validation=0.2,
        output=tk.Output(name="rewards"),
    )
    run = tk.run(spec)

    for event in run.events(follow=False):
        if event.kind == "metrics" and "reward" in event.metrics:
            reward = event.metrics["reward"]
            print(f"step {event.step}: an answer earns {reward:.2f} of 2 on average")
    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
