"""Each check finds what it is for, and lets pass what only looks like it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.reading import read
from tunekit.data.issues import Issue
from tunekit.data.quality.catalogue import CATALOGUE, severity
from tunekit.data.quality.language import language
from tunekit.data.quality.quality import Quality
from tunekit.data.rows import Completion, Row, Where


def completion(prompt: str, answer: str, line: int = 1) -> Row:
    return Completion(prompt=prompt, completion=answer, where=Where(file="rows", line=line))


def found(rows: Iterable[Row], **settings: Any) -> list[Issue]:
    quality = Quality(**settings)
    for row in rows:
        quality.add(row)
    return [issue for issue in quality.close() if issue.code != "few-rows"]


def codes(*rows: Row) -> list[str]:
    return [issue.code for issue in found(rows)]


def raw(*rows: dict[str, Any]) -> list[Row]:
    return read(*rows)[1]


# The first six are samples that their makers or standards publish; made-up ones have their form.
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("pay with 4111 1111 1111 1111 today", "personal-data"),
        ("to GB82 WEST 1234 5698 7654 32", "personal-data"),
        ("to DE89370400440532013000", "personal-data"),
        ("write to maria.silva@posteo.de", "personal-data"),
        ("call +49 30 901820 now", "personal-data"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "secret"),
        ("key AKIAQ3EGRXZK7WMVT2BD in use", "secret"),
        ("ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8", "secret"),
        ("sk-proj-Zq8Lw2Vb7Nc4Xm9Kd5Tp3Rf6", "secret"),
        ("a turn <|im_start|>user", "control-tokens"),
        ("[INST] do it [/INST]", "control-tokens"),
        ("the end</s>", "control-tokens"),
    ],
)
def test_a_text_that_should_not_be_trained_on_is_found(text: str, code: str) -> None:
    assert codes(completion("What?", text)) == [code]
    assert codes(completion(text, "Nothing of note.")) == [code]


@pytest.mark.parametrize(
    "text",
    [
        "Order B-5462 of 2024-11-03, 14:30, for 1,299.00 EUR",
        "4111 1111 1111 1112 is no card, for its last digit is wrong",
        "0000 0000 0000 0000",
        "GB83 WEST 1234 5698 7654 32 has wrong check digits",
        "see https://docs.python.org/3/library/re.html#re.escape",
        "def f(x): return [y for y in x if y < 3]  # O(n)",
        "task-force and risk-averse people ask-and-answer-questions-daily",
        "AKIAIOSFODNN7EXAMPLE is the sample of the manual",
        "use your key: sk-your-key-goes-here-please",
        "write to someone@example.com",
        "@dataclass and @media (width > 3px)",
        "a[1] < b[2] and </span>",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "uuid 123e4567-e89b-12d3-a456-426614174000",
        "1.2.3.4 and 192.168.100.200, version 10.15.7",
        "+1 to that, and +++ to this",
    ],
)
def test_a_text_that_only_looks_like_it_is_let_pass(text: str) -> None:
    assert codes(completion("What?", text)) == []


def test_a_secret_is_not_repeated_in_the_message() -> None:
    (issue,) = found([completion("?", "sk-proj-Zq8Lw2Vb7Nc4Xm9Kd5Tp3Rf6")])
    assert "Zq8Lw2" not in issue.message
    assert issue.severity == "error"


def test_copies_name_the_first_and_near_copies_the_nearest() -> None:
    words = " ".join(f"word{n}" for n in range(60))
    rows = [
        completion("Tell me more", words, 1),
        completion("tell  me MORE", words.upper(), 2),
        completion("Tell me more", words + " end", 3),
        completion("Tell me less", "Something else that is short.", 4),
    ]
    assert [(issue.code, issue.line) for issue in found(rows)] == [
        ("duplicate-row", 2),
        ("near-duplicate", 3),
    ]
    assert "rows:1" in found(rows)[0].message


def test_one_prompt_with_two_labels_is_a_contradiction_and_two_essays_are_none() -> None:
    essay = "This is a rather long answer with many words"
    rows = [
        completion("Is it late?", "yes", 1),
        completion("is it  late?", "No", 2),
        completion("Why?", essay, 3),
        completion("Why?", essay + " and an end", 4),
    ]
    assert [(i.code, i.line) for i in found(rows) if i.code == "contradiction"] == [
        ("contradiction", 2)
    ]


def test_a_refusal_is_boilerplate_above_one_percent() -> None:
    rows = [completion(f"Question {n}?", f"Answer number {n}.", n) for n in range(200)]
    refused = [completion(f"Ask {n}", "As an AI language model, I cannot.", n) for n in range(3)]
    assert {i.severity for i in found([*rows, refused[0]])} == {"info"}
    assert {i.severity for i in found([*rows, *refused]) if i.code == "boilerplate"} == {"warning"}


def _pair(chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": f"Ask {chosen}", "chosen": chosen, "rejected": rejected}


@pytest.mark.parametrize(
    ("longer", "expected"), [(12, None), (14, "warning"), (17, "error")], ids=str
)
def test_length_decides_a_pair_too_often(longer: int, expected: str | None) -> None:
    pairs = [_pair(f"a b c d e f g h{n}", "a b c d e f g") for n in range(longer)]
    pairs += [_pair(f"a{n} b c d e f g", "a b c d e f g h") for n in range(20 - longer)]
    rows = raw(*pairs)
    told = [issue.severity for issue in found(rows) if issue.code == "length-bias"]
    assert told == ([expected] if expected else [])


def test_equal_answers_of_a_pair_stop_a_run() -> None:
    (issue,) = found(raw(_pair("Same", "same ")))
    assert (issue.code, issue.severity) == ("identical-pair", "error")


@pytest.mark.parametrize(
    ("wanted", "unwanted", "expected"),
    [(4, 4, []), (4, 3, []), (5, 3, ["verdict-balance"]), (5, 0, ["one-verdict"])],
)
def test_verdicts_should_be_in_balance(wanted: int, unwanted: int, expected: list[str]) -> None:
    rows = [
        {"prompt": f"{n}?", "completion": f"{n}!", "label": n < wanted}
        for n in range(wanted + unwanted)
    ]
    assert codes(*raw(*rows)) == expected


def _call(name: str, arguments: str) -> dict[str, Any]:
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "tool_calls": [call]},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}],
    }


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("weather", '{"city": "Bonn"}', []),
        ("wether", '{"city": "Bonn"}', ["unknown-tool"]),
        ("weather", "{}", ["bad-tool-call-arguments"]),
        ("weather", '{"city": 5}', ["bad-tool-call-arguments"]),
    ],
)
def test_a_call_must_fit_what_is_on_offer(name: str, arguments: str, expected: list[str]) -> None:
    assert codes(*raw(_call(name, arguments))) == expected


def test_turns_out_of_order_are_found() -> None:
    ask, say = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    late = {"role": "system", "content": "Be brief"}
    assert codes(*raw({"messages": [ask, say, ask, say]})) == []
    assert codes(*raw({"messages": [ask, ask, say]})) == ["role-order"]
    assert codes(*raw({"messages": [ask, late, say]})) == ["role-order"]


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ([None, None], ""),
        ([1, None], ""),
        ([0.5, 1], ""),
        ([2, None, None], "rows:2 is the first of 2 rows without a weight; 1 have one"),
        ([None, 1, -1], "rows:1 is the first of 1 rows without a weight; 2 have one"),
    ],
)
def test_a_weight_beside_some_rows_only_is_told(weights: list[float | None], named: str) -> None:
    rows: list[Row] = [
        Completion(
            prompt=f"{n}?", completion=f"{n}", weight=weight, where=Where(file="rows", line=n)
        )
        for n, weight in enumerate(weights, 1)
    ]
    told = {issue.code: issue.message for issue in found(rows)}
    assert told.keys() == ({"partial-weights"} if named else set())
    assert told.get("partial-weights", "").startswith(named)


def test_a_row_four_times_longer_than_nearly_all_others_is_told() -> None:
    rows = [completion(f"{n}?", "word " * 50 + str(n), n) for n in range(1, 301)]
    rows.append(completion("long?", "other " * 2000, 301))
    assert [i.line for i in found(rows) if i.code == "length-outlier"] == [301]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The order is on its way to you and it will be there in the morning", "English"),
        ("Die Bestellung ist auf dem Weg zu dir und wird nicht vor dem Abend da sein", "German"),
        ("La commande est en route et elle sera chez vous dans la soirée avec le colis", "French"),
        ("El pedido está en camino y no se puede cambiar por la tarde con el cliente", "Spanish"),
        ("注文は発送されました。明日の朝に届きます。", "Japanese"),
        ("订单已经发出，明天早上会送到。", "Chinese"),
        ('{"order": "B-1"}', ""),
    ],
)
def test_a_language_is_told_by_its_script_or_its_small_words(text: str, expected: str) -> None:
    assert language(text) == expected


def test_a_few_rows_in_another_language_are_told() -> None:
    rows = [
        completion(f"Where is {n}?", f"The order {n} is on its way to you and it is fine.", n)
        for n in range(95)
    ]
    rows += [
        completion(f"Wo ist {n}?", f"Die Bestellung {n} ist auf dem Weg und nicht mehr da.", n)
        for n in range(5)
    ]
    (issue,) = [issue for issue in found(rows) if issue.code == "mixed-languages"]
    assert "5 of 100 answers seem to be German" in issue.message


@given(text=st.text(max_size=400))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_a_check_fail(text: str) -> None:
    found([completion(text, text), completion(text[::-1], text)])


@pytest.mark.parametrize("text", ["a@" * 20_000, "1 " * 30_000, "+1-" * 20_000, "<|" * 30_000])
def test_no_text_makes_a_check_slow(text: str) -> None:
    import time

    begun = time.process_time()
    found([completion("?", text)])
    # Quadratic work on 60 kB would take minutes.
    assert time.process_time() - begun < 10


def test_a_share_decides_what_a_finding_is_worth() -> None:
    assert severity("duplicate-row", 1, 1000, {}) == "info"
    assert severity("duplicate-row", 11, 1000, {}) == "warning"
    assert severity("duplicate-row", 201, 1000, {}) == "error"
    assert severity("duplicate-row", 201, 1000, {"duplicate-row": "off"}) == "off"
    assert severity("duplicate-row", 9, 10, {}) == "warning", "a few rows are chance"
    assert severity("secret", 1, 1_000_000, {}) == "error"


def test_a_check_that_is_off_says_nothing() -> None:
    rows = [completion("?", "write to maria.silva@posteo.de")]
    assert found(rows, checks={"personal-data": "off"}) == []


def test_every_entry_gives_its_reason() -> None:
    assert all(entry.title and entry.reason for entry in CATALOGUE.values())


# Forms that the makers document; the characters are made up.
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("token xoxb-2837465019-8273645501923-aQ7rT2mKe8LpZx4VnB1sWd6Y", "Slack"),
        ("STRIPE=sk_live_8fJ2kQ9xR4tV7bN3mL6pW1zC", "Stripe"),
        ("glpat-T7kq9ZpXr3mWv8LsBn2f", "GitLab"),
        ("DefaultEndpointsProtocol=https;AccountKey=" + "aQ7rT2mKe8L" * 8 + ";", "Azure"),
        ("postgres://maria:hT7vq92kd@db:5432/shop", "password in a URL"),
        (
            "SG." + "aQ7rT2mKe8LpZx4VnB1sWd" + "." + "Kq9ZpXr3mWv8LsBn2fTy6Hc4Jd1GaPo5RuEi7NxMwQz",
            "Send",
        ),
        (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJtYXJpYSIsImlhdCI6MTUxNjIzOTAyMn0"
            ".4kLmQw9ZxRtYvBnMpLsKdJfHgTrEwQaZxCvBnMkLpOi",
            "web token",
        ),
    ],
)
def test_the_kept_library_names_kinds_of_secrets(text: str, kind: str) -> None:
    (issue,) = found([completion("?", f"Use this: {text}")])
    assert (issue.code, kind in issue.message) == ("secret", True)
    assert "hT7vq" not in issue.message


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:password@localhost/db",
        "https://${USER}:${PASSWORD}@host/",
        "git clone ssh://git@github.com:22/tunekit.git",
        "git clone git@github.com:owner/name.git",
        "eyJhbGciOi.eyJzdWIi.notatoken",
        "a JWT looks like eyJ...eyJ...abc",
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "-----BEGIN PUBLIC KEY-----",
        "+5 10 20 30 40 are no phone number",
        "+12 34 56 78 90 neither",
        "XX12 3456 7890 1234 5678",
    ],
)
def test_stand_ins_for_secrets_and_numbers_of_no_country_are_let_pass(text: str) -> None:
    assert codes(completion("What?", text)) == []


def test_a_long_text_full_of_signs_takes_no_long_time() -> None:
    import time

    begun = time.perf_counter()
    for piece in ("sk-", "eyJ", "://a:", "ghp_", "+1 ", "1234 ", "AccountKey=", "PRIVATE KEY "):
        codes(completion("What?", piece * 100_000))
    assert time.perf_counter() - begun < 15
