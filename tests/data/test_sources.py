"""Sources: what a name may mean, and what is said when there is nothing under it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.reading import GOOD, issues_of, jsonl, prepared
from tunekit.errors import DataError, MissingExtra
from tunekit.spec.finetune import Data

ROWS = [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(3)]
PLAIN = [("question 0", "answer 0"), ("question 1", "answer 1"), ("question 2", "answer 2")]


def plain(data: Any, **settings: Any) -> list[tuple[str, str]]:
    rows = prepared(data, validation=None, **settings).train
    return [(row.prompt, row.completion) for row in rows]  # type: ignore[union-attr,misc]


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_all_kinds_of_files_give_the_same_rows(tmp_path: Path) -> None:
    table = "prompt,completion\n" + "".join(f"{a},{b}\n" for a, b in PLAIN)
    files = {
        "a.jsonl": jsonl(*ROWS),
        "a.json": jsonl(ROWS),
        "list.jsonl": jsonl(ROWS),
        "a.csv": table.encode(),
        "A.CSV": b"\xef\xbb\xbf" + table.replace("\n", "\r\n").encode(),
        "a.tsv": table.replace(",", "\t").encode(),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert plain(path) == PLAIN, name
    assert plain(write_parquet(tmp_path / "a.parquet", ROWS)) == PLAIN


def test_rows_keep_their_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n" + GOOD + b"\n" + GOOD.replace(b"4", b"four"))
    assert [str(row.where) for row in prepared(path).train] == [f"{path}:2", f"{path}:4"]


def test_a_pretty_list_keeps_the_line_at_which_each_row_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[\n" + GOOD + b",\n\n" + GOOD + b"]")
    assert [row.where.line for row in prepared(path).train] == [2, 5]


def test_a_quoted_field_may_span_lines_and_hold_separators(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('prompt,completion\n"a,\n""b""",c\nd,e\n', encoding="utf-8")
    rows = prepared(path).train
    assert plain(path) == [('a,\n"b"', "c"), ("d", "e")]
    assert [row.where.line for row in rows] == [2, 4]


def test_a_field_may_be_longer_than_the_csv_module_allows_by_default(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text\n{'word ' * 60_000}\n", encoding="utf-8")
    assert prepared(path).profile.rows == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_may_hold_chats_as_json(tmp_path: Path, kind: str) -> None:
    chat = '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]'
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        write_parquet(path, [{"messages": chat}])
    else:
        path.write_text('messages\n"' + chat.replace('"', '""') + '"\n', encoding="utf-8")
    ready = prepared(path)
    assert ready.profile.kind == "conversation"
    assert ready.train[0].messages[1].content == "hello"  # type: ignore[union-attr]


def test_nulls_that_a_table_adds_to_align_its_rows_mean_nothing(tmp_path: Path) -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    chat = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "3", "name": "f"},
        {"role": "assistant", "content": "three"},
    ]
    path = write_parquet(tmp_path / "a.parquet", [{"messages": chat, "tools": None}])
    memory = prepared([{"messages": chat}]).train[0]
    assert prepared(path).train[0].digest() == memory.digest()


def test_a_glob_takes_the_files_that_match_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        (tmp_path / f"part-{number}.jsonl").write_bytes(jsonl(ROWS[number]))
    (tmp_path / "other.jsonl").write_bytes(b"{broken")
    assert plain(str(tmp_path / "part-*.jsonl")) == PLAIN


def test_a_folder_takes_its_data_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "0.jsonl").write_bytes(jsonl(ROWS[0]))
    (tmp_path / "inner" / "1.json").write_bytes(jsonl(ROWS[1:2]))
    (tmp_path / "inner" / "2.csv").write_text("prompt,completion\nquestion 2,answer 2\n")
    (tmp_path / "README.md").write_text("not data")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.jsonl").write_bytes(b"{broken")
    assert plain(tmp_path) == PLAIN


def test_a_folder_that_mixes_training_and_held_out_files_asks_which_is_which(
    tmp_path: Path,
) -> None:
    (tmp_path / "train.jsonl").write_bytes(GOOD)
    (tmp_path / "test-00000.jsonl").write_bytes(GOOD)
    with pytest.raises(DataError, match=r"test-00000\.jsonl.*held out.*beside train\.jsonl"):
        prepared(tmp_path)


def test_a_saved_dataset_is_read_and_of_several_the_split_that_is_wanted(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"prompt": f"{n}?", "completion": f"{n}!"} for n in range(5)]
    made = datasets.Dataset.from_list(rows)
    made.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=made, test=made.select(range(2))).save_to_disk(tmp_path / "two")

    assert len(prepared(tmp_path / "one", validation=None).train) == 5
    held = Data(source=str(tmp_path / "two"), split="test")
    assert len(prepared(held, validation=None).train) == 2
    with pytest.raises(DataError, match="has no split 'dev'; it has test, train"):
        prepared(Data(source=str(tmp_path / "two"), split="dev"))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nothing", "no file 'nothing'; here is support.jsonl; a hub dataset is written owner/n"),
        ("nothing/*.jsonl", r"no file matches 'nothing/\*.jsonl'; the folder 'nothing' does not"),
        ("nothing/train.jsonl", "no file 'nothing/train.jsonl'; the folder 'nothing' does not e"),
        ("a/b/c", "no file 'a/b/c'; the folder 'a/b' does not exist"),
    ],
)
def test_a_missing_source_is_told_with_what_is_there_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "support.jsonl").write_bytes(GOOD)
    with pytest.raises(DataError, match=told):
        prepared(source)


@pytest.mark.parametrize(
    ("source", "near"),
    [("suport.jsonl", "support.jsonl"), ("x.csv", "support.jsonl"), ("sup*.json", "support.jsonl")],
)
def test_the_nearest_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, near: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "support.jsonl").write_bytes(GOOD)
    with pytest.raises(DataError, match=f"here is {near}"):
        prepared(source)
    with pytest.raises(DataError, match=f"in {tmp_path} is {near}"):
        prepared(str(tmp_path / source))


def test_a_folder_without_data_says_what_it_may_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.jsonl.*\.parquet"):
        prepared(tmp_path)


@pytest.mark.parametrize(
    "source", ["a\0b.jsonl", "x" * 5000 + ".jsonl", "**/**/[", "~nobody/x.csv"]
)
def test_a_name_that_no_file_can_have_is_only_a_missing_file(source: str) -> None:
    with pytest.raises(DataError):
        prepared(source)


def test_a_file_without_rights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD)

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    # Root may read everything, so the rights themselves prove nothing here.
    monkeypatch.setattr(Path, "open", refuse)
    assert [issue.code for issue in issues_of(path)] == ["unreadable"]


def test_rows_in_memory_are_numbered() -> None:
    rows = prepared(ROWS, validation=None).train
    assert [str(row.where) for row in rows] == ["<rows>:1", "<rows>:2", "<rows>:3"]


def test_a_generator_and_a_dataset_are_rows_in_memory() -> None:
    import datasets

    assert plain(row for row in ROWS) == PLAIN
    assert plain(datasets.Dataset.from_list(ROWS)) == PLAIN


def test_values_in_memory_that_json_cannot_hold_are_told() -> None:
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert [
        issue.code for issue in issues_of([{"messages": chat, "tools": [{"f": object()}]}])
    ] == ["wrong-type"]
    assert [issue.code for issue in issues_of([{"text": "half \ud83d"}])] == ["lone-surrogate"]


def test_a_limit_takes_the_first_rows_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(*ROWS) + b"{broken")
    assert plain({"source": str(path), "limit": 2}) == PLAIN[:2]


def test_a_hub_dataset_that_cannot_be_loaded_is_told_with_id_split_and_cure() -> None:
    with pytest.raises(DataError) as caught:
        prepared({"source": "nobody-here/no-such-rows", "split": "train_sft"})
    text = str(caught.value)
    assert "'train_sft'" in text
    assert "'nobody-here/no-such-rows'" in text
    assert "hf download --repo-type dataset nobody-here/no-such-rows" in text


def test_a_hub_dataset_gives_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load(name: str, split: str) -> Any:
        asked.append((name, split))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    ready = prepared({"source": "owner/rows.v2", "split": "test"}, validation=None)
    assert asked == [("owner/rows.v2", "test")]
    assert str(ready.train[2].where) == "hub:owner/rows.v2[test]:3"


def test_a_hub_dataset_without_rows_is_an_issue(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: [])
    assert [(issue.code, issue.file) for issue in issues_of("owner/rows")] == [
        ("empty-file", "owner/rows")
    ]


@pytest.mark.parametrize(
    ("module", "source"), [("datasets", "owner/rows"), ("pyarrow", "rows.parquet")]
)
def test_a_missing_package_is_told_with_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"pip install 'tunekit-sdk\[local\]'"):
        prepared(source)
