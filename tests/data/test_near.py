"""Near copies are found, and little else is taken for one."""

from __future__ import annotations

import random

import pytest

from tunekit.data.near import Near, normalised, shingles

COUNT = 20_000


def jaccard(one: str, other: str) -> float:
    a, b = set(shingles(one)), set(shingles(other))
    return len(a & b) / len(a | b)


@pytest.mark.slow
def test_nearly_all_near_copies_among_20_000_rows_are_found_and_hardly_a_false_one() -> None:
    pick = random.Random(11)
    words = [f"w{n}" for n in range(5000)]
    texts = [" ".join(pick.choices(words, k=pick.randint(60, 220))) for _ in range(COUNT - 2000)]
    planted: list[tuple[int, int]] = []
    for number in range(2000):
        source = pick.randrange(COUNT - 2000)
        copy = texts[source].split()
        # Every second one is changed so much that it is no near copy.
        changes = pick.randint(1, 3) if number % 2 else len(copy) // 8
        for _ in range(changes):
            copy[pick.randrange(len(copy))] = pick.choice(words)
        planted.append((source, len(texts)))
        texts.append(" ".join(copy))
    near = Near()
    for text in texts:
        near.add(text)

    reported = {tuple(sorted((later, earlier))) for later, (earlier, _) in near.pairs().items()}

    copies = [pair for pair in planted if jaccard(*(texts[i] for i in pair)) >= 0.85]
    false = [pair for pair in reported if jaccard(*(texts[i] for i in pair)) < 0.8]
    assert len(copies) > 500
    assert sum(pair in reported for pair in copies) >= 0.95 * len(copies)
    assert len(false) < 0.01 * len(reported)


def test_the_estimate_is_near_the_similarity() -> None:
    pick = random.Random(3)
    words = [f"w{n}" for n in range(500)]
    near, off = Near(), list[float]()
    for _ in range(60):
        text = pick.choices(words, k=150)
        other = text[: pick.randrange(20, 150)] + pick.choices(words, k=40)
        one, two = near.add(" ".join(text)), near.add(" ".join(other))
        off.append(near.similarity(one, two) - jaccard(" ".join(text), " ".join(other)))
    # Six times the standard error of 256 minima, and of the mean of 60 estimates.
    assert max(map(abs, off)) < 0.2
    assert abs(sum(off) / len(off)) < 0.03


def test_equal_texts_make_one_cluster_in_linear_time() -> None:
    near = Near()
    for number in range(3000):
        near.add("the same text again and again" if number % 2 else "")
    assert sorted(map(len, near.clusters())) == [1500, 1500]


def test_case_width_and_blanks_do_not_count() -> None:
    assert normalised("Ａ  Text\n") == normalised("a text")


def test_a_text_without_blanks_is_compared_by_characters() -> None:
    near = Near()
    text = "订单已经发出明天早上会送到请在家等候快递员的电话" * 3
    near.add(text)
    near.add(text + "谢谢")
    near.add("完全不同的一句话没有任何关系只是用来比较而已今天天气很好我们去公园散步")
    assert near.clusters() == [[0, 1]]


def test_texts_of_a_few_words_are_copies_only_when_they_are_equal() -> None:
    near = Near()
    for text in ("yes", "no", "Yes", "maybe not"):
        near.add(text)
    assert near.clusters() == [[0, 2]]
