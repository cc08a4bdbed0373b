"""Chats to time training on: mixed ones, that batches of four pad by two fifths, and short ones.

    python benchmarks/chats.py MIXED.jsonl [--kind mixed|single|pairs] [--rows 500] [--seed 0]

The mixed chats have one to four turns and questions from a few words to a paragraph: with SmolLM2's
tokenizer about two fifths of a padded batch of 4 are padding. The single ones have one turn of an
even length: about 15 %. The pairs have one prompt and two answers.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WANTS = {
    "delivery": ("where is my order", "can you send it to my office instead", "the box came open"),
    "billing": ("I see two charges for one order", "please send the invoice again"),
    "repair": ("the pump hums and gives no water", "the display shows a warning", "it drips"),
    "advice": ("which filter fits the small kettle", "what do you suggest for a beginner"),
    "account": ("I cannot sign in any more", "change the address of my account"),
}
DETAILS = (
    "I bought it {n} weeks ago at your shop in the station.",
    "The number on the slip is {n}-{m}, if that is of use.",
    "My neighbour has the same one and hers has worked for {n} years without a fault.",
    "I have read the manual from page {n} on and found nothing about this.",
    "It happened on the {n}th, right after the update to version {m}.",
    "We are a small office of {n} people and use it all day long.",
    "I wrote to you {n} days ago and have not heard back since then.",
    "When I unplug it and wait for {n} minutes, it works again for a while.",
)
OPENINGS = ("Hello,", "Hi,", "Good evening,", "Dear team,", "Just one thing:", "")
ACTIONS = ("open_case", "refund", "send_part", "call_back", "explain", "close")
STEPS = (
    "Switch it off and let it cool for ten minutes.",
    "Look for the label on the bottom and tell us the last four digits.",
    "Open the settings, choose Account and then Security.",
    "Keep the wrapping until the carrier has been there.",
    "Rinse the tank with clear water twice.",
    "Wait for the message with the link; it is good for two hours.",
)


def mixed(pick: random.Random) -> dict[str, Any]:
    """A conversation of one to three turns, of any length."""
    turns = [
        turn
        for _ in range(pick.choice((1, 1, 1, 2, 3, 4)))
        for turn in _turn(pick, details=pick.choice((0, 0, 1, 1, 2, 4, 8)))
    ]
    return {"messages": turns}


def single(pick: random.Random) -> dict[str, Any]:
    """A conversation of one turn; all are about as long."""
    return {"messages": list(_turn(pick, details=pick.choice((1, 2, 2, 3, 4))))}


def pairs(pick: random.Random) -> dict[str, Any]:
    """A prompt with a good answer and one that leaves out the form."""
    question, answer = _turn(pick, details=pick.choice((2, 4, 6, 8)))
    reply = " ".join(pick.sample(STEPS, k=pick.randint(1, 3)))
    return {
        "prompt": [question],
        "chosen": [answer],
        "rejected": [{"role": "assistant", "content": reply}],
    }


KINDS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "mixed": mixed,
    "single": single,
    "pairs": pairs,
}


def write(path: Path, kind: str, *, rows: int, seed: int = 0) -> Path:
    """Write rows of a kind, the same for the same seed."""
    pick = random.Random(seed)
    path.write_text("".join(json.dumps(KINDS[kind](pick)) + "\n" for _ in range(rows)))
    return path


def texts(path: Path, *, words: int, rows: int, seed: int = 0) -> Path:
    """Write rows of plain text with so many words each, about a token a word."""
    pick = random.Random(seed)
    with path.open("w") as file:
        for _ in range(rows):
            found: list[str] = []
            while len(found) < words:
                found += _question(pick, "advice", details=3).split()
            file.write(json.dumps({"text": " ".join(found[:words])}) + "\n")
    return path


def _turn(pick: random.Random, *, details: int) -> Iterator[dict[str, str]]:
    topic = pick.choice(list(WANTS))
    yield {"role": "user", "content": _question(pick, topic, details=details)}
    answer = {
        "topic": topic,
        "action": pick.choice(ACTIONS),
        "steps": pick.sample(STEPS, k=pick.choice((1, 1, 2, 3, 4))),
        "urgent": topic in ("billing", "repair"),
    }
    yield {"role": "assistant", "content": json.dumps(answer)}


def _question(pick: random.Random, topic: str, *, details: int) -> str:
    about = " ".join(
        pick.choice(DETAILS).format(n=pick.randint(2, 28), m=pick.randint(100, 999))
        for _ in range(details)
    )
    parts = (pick.choice(OPENINGS), about, pick.choice(WANTS[topic]) + pick.choice(".?"))
    return " ".join(part for part in parts if part)


def main() -> None:
    """Read the options and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="mixed")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.path, options.kind, rows=options.rows, seed=options.seed)


if __name__ == "__main__":
    main()
