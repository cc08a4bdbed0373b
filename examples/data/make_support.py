"""Write support.jsonl and support_unseen.jsonl: invented requests to an invented bicycle shop.

Every answer can be read off its request: what it is about, the order number, the item, and
whether it is urgent. The unseen requests use sentences that no training request uses.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TRAINING_ROWS = 460
UNSEEN_ROWS = 50
SYSTEM = "Support desk of Quillfork Bikes. Reply in JSON."

ITEMS = (
    "helmet",
    "rear light",
    "front light",
    "pannier bag",
    "child seat",
    "floor pump",
    "chain lock",
    "saddle",
    "city bike",
    "gravel bike",
    "folding bike",
    "cargo bike",
    "e-bike battery",
    "charger",
    "rain jacket",
    "bell",
    "handlebar tape",
    "kickstand",
    "bottle cage",
    "bike trailer",
    "phone mount",
    "front basket",
    "repair stand",
    "rack bag",
)

REPLIES = {
    "delivery": "We trace the {item} and write to you {when}.",
    "return": "The return label for the {item} follows {when}.",
    "repair": "The workshop books a slot for the {item} {when}.",
    "warranty": "We check the claim for the {item} {when}.",
    "billing": "We correct the bill for the {item} {when}.",
    "stock": "We look up the {item} and answer {when}.",
}

SEEN = {
    "delivery": (
        "Where is my {item}? The tracking page has not moved for a week.",
        "The courier says he delivered the {item}, but nobody was home and nothing is here.",
        "I am still waiting for the {item} that you shipped on Monday.",
        "My parcel with the {item} seems to be lost.",
        "The {item} went to my old address by mistake.",
        "You promised the {item} within three days, now it is ten.",
        "Half of my parcel came; the {item} is missing from it.",
        "Has the {item} left your warehouse yet?",
        "The tracking link for the {item} shows an error.",
        "A neighbour got a card for a parcel, probably my {item}, but no one knows where it is.",
    ),
    "return": (
        "I want to send the {item} back, it does not suit me.",
        "The {item} is too big. How do I return it?",
        "Please take the {item} back, I ordered the wrong colour.",
        "I changed my mind about the {item} and would like my money back.",
        "My wife bought the same {item}, so one of them has to go back.",
        "The {item} is unused and still in the box, can it go back?",
        "It turns out that the {item} does not fit my frame. I need a return label.",
        "Can I swap the {item} for a smaller one?",
        "The {item} was a present and we already have one. We would rather return it.",
        "Not what I expected from the photos. The {item} goes back to you.",
    ),
    "repair": (
        "My {item} needs fixing, when does the workshop have time?",
        "After a fall the {item} is bent and I need someone to straighten it.",
        "Could your mechanic have a look at the {item}? It rattles.",
        "The {item} came loose on a ride and I cannot get it tight again.",
        "I drove over the {item} with my car. Can it still be mended?",
        "What would it cost to mend my {item}? One bolt broke off.",
        "My {item} squeaks since the winter and wants a service.",
        "I would like to book a repair for the {item}.",
        "Someone knocked my bike over and now the {item} is crooked. Do you fix that?",
        "The {item} has worn out after years of use; please give me a workshop date.",
    ),
    "warranty": (
        "The {item} broke after two weeks of normal use. That is a defect.",
        "There is a crack in the {item} and I have hardly used it. Is it covered?",
        "I bought the {item} in spring and it stopped working. Does the guarantee apply?",
        "The {item} arrived with a faulty part, I claim the warranty.",
        "The seam of the {item} opened by itself; the warranty should cover that.",
        "This is the second {item} that fails within its guarantee.",
        "Your {item} died after a month. You promise five years of warranty.",
        "The paint on my new {item} is peeling off. I make use of the guarantee.",
        "Is a dead {item} covered when it is one year old?",
        "The maker recalled this {item}, so I want it replaced under warranty.",
    ),
    "billing": (
        "You charged me twice for the {item}.",
        "I still have no invoice for the {item}.",
        "The bill for the {item} shows the wrong address.",
        "The price on the invoice for the {item} is higher than on your site.",
        "My discount code was not taken off the {item}.",
        "I paid for the {item} by bank transfer, but you sent me a reminder.",
        "Please put our company name on the receipt for the {item}.",
        "My card was debited for the {item} although the payment failed.",
        "The tax on the invoice for the {item} looks wrong.",
        "Can I pay for the {item} in two parts? The bill asks for everything at once.",
    ),
    "stock": (
        "Is the {item} available in your shop?",
        "When will you have the {item} in blue again?",
        "Do you sell the {item} in size M?",
        "How many of the {item} do you have left?",
        "Your site says the {item} is sold out. Will it come back?",
        "I would like to try the {item} in the shop before I buy. Do you have one there?",
        "Will the {item} be back before the summer?",
        "Could you put a {item} aside for me, if you have one?",
        "Does the {item} come in green, and do you have it?",
        "I am looking for a {item} for my daughter. Anything on the shelf?",
    ),
}

UNSEEN = {
    "delivery": (
        "The driver left without ringing, and the {item} is on its way back to you now.",
        "Any news on when the {item} gets here? I took a day off for nothing.",
        "The box arrived empty, there was no {item} in it.",
    ),
    "return": (
        "I regret buying the {item}. What do I do to give it back?",
        "The {item} looks nicer online than in real life, so please refund me.",
        "How long do I have to return the {item}?",
    ),
    "repair": (
        "A screw on the {item} is stripped, can you mend it?",
        "The {item} makes a strange noise; I would bring it to the workshop.",
        "Do you also repair a {item} that was bought elsewhere?",
    ),
    "warranty": (
        "A weld on the {item} gave way on a flat road, surely the warranty pays for that.",
        "My {item} quit in its first month, so this is a guarantee case.",
        "Does the guarantee still hold for a {item} from last year? It has a defect.",
    ),
    "billing": (
        "Why are there two payments for one {item} on my statement?",
        "The invoice for the {item} never reached me and my accountant asks for it.",
        "You billed me for a {item} that I cancelled.",
    ),
    "stock": (
        "Can I pick up the {item} in your shop, or is it sold out there too?",
        "When do new deliveries of the {item} come in?",
        "Before I drive over: is there a {item} on the shelf?",
    ),
}

GREETINGS = ("", "", "", "Hi!", "Hello.", "Good morning.", "Dear team,", "Hey there,")
CLOSINGS = (
    "",
    "",
    "",
    "",
    "Thanks, Ana",
    "Regards, Tomasz",
    "Cheers!",
    "Yours, Mrs Okafor",
    "Bye, Lu",
)
ORDERS = (
    "Order {order}.",
    "My order is {order}.",
    "The number is {order}.",
    "It was {order}.",
    "({order})",
)
URGENT = (
    "This is urgent.",
    "I need an answer today.",
    "We leave tomorrow!",
    "Please hurry, I depend on it.",
    "It has to be settled at once.",
    "My race is on Saturday, so be quick.",
)
CALM = ("", "", "", "No rush.", "Whenever you have time.", "It can wait until next week.")


@dataclass(frozen=True)
class Request:
    """What a customer wants, and how they put it."""

    text: str
    topic: str
    order: str | None
    item: str
    urgent: bool

    def row(self) -> dict[str, object]:
        when = "today" if self.urgent else "this week"
        answer = {
            "topic": self.topic,
            "order": self.order,
            "item": self.item,
            "urgent": self.urgent,
            "reply": REPLIES[self.topic].format(item=self.item, when=when),
        }
        turns = (
            ("system", SYSTEM),
            ("user", self.text),
            ("assistant", json.dumps(answer, separators=(",", ":"))),
        )
        return {"messages": [{"role": role, "content": content} for role, content in turns]}


def typo(text: str, random: random.Random) -> str:
    """Swap two letters inside one long word that carries no answer."""
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if word.isalpha() and len(word) > 5]
    if long:
        at = random.choice(long)
        word = words[at]
        cut = random.randrange(1, len(word) - 2)
        words[at] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
    return " ".join(words)


def request(topic: str, sentences: tuple[str, ...], random: random.Random) -> Request:
    """Put one request together."""
    sentence, item = random.choice(sentences), random.choice(ITEMS)
    known = topic != "stock" and random.random() < 0.75
    order = f"B-{random.randrange(1000, 10000)}" if known else None
    urgent = random.random() < 0.4
    body = sentence
    if random.random() < 0.2:
        body = typo(body, random)
    number = random.choice(ORDERS).format(order=order) if order else ""
    parts = [body.format(item=item), number, random.choice(URGENT if urgent else CALM)]
    if order and random.random() < 0.2:
        parts[:2] = [f"Order {order}:", parts[0]]
    text = " ".join(filter(None, [random.choice(GREETINGS), *parts, random.choice(CLOSINGS)]))
    if random.random() < 0.1:
        text = text.replace(". ", ", ").replace("I ", "i ").rstrip(".")
    return Request(text, topic, order, item, urgent)


def requests(
    sentences: dict[str, tuple[str, ...]], count: int, random: random.Random
) -> Iterator[Request]:
    """Give `count` different requests, the topics in turn."""
    said: set[str] = set()
    topics = list(sentences)
    while len(said) < count:
        topic = topics[len(said) % len(topics)]
        made = request(topic, sentences[topic], random)
        if made.text not in said:
            said.add(made.text)
            yield made


def files() -> dict[str, str]:
    """Give the content of both files by name; equal on every machine."""
    dice = random.Random(20)
    made = {
        "support.jsonl": list(requests(SEEN, TRAINING_ROWS, dice)),
        "support_unseen.jsonl": list(requests(UNSEEN, UNSEEN_ROWS, dice)),
    }
    for rows in made.values():
        dice.shuffle(rows)
    return {
        name: "".join(json.dumps(row.row(), ensure_ascii=False) + "\n" for row in rows)
        for name, rows in made.items()
    }


if __name__ == "__main__":
    for name, text in files().items():
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")
