"""What counts as a text, and how new texts come in."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from ctkd_cli.errors import InputError
from ctkd_cli.tasks.kinds._new_inputs import Asked
from ctkd_cli.tasks.kinds.text import Text

ONE = Text(kind="text", text="review")
PAIR = Text(kind="text", text="premise", text_pair="hypothesis")


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["a", None]), ["a", ""]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array([1, 20]), ["1", "20"]),
        (pa.array([b"a", "ä".encode()]), ["a", "ä"]),
        (pa.array([None, None]), ["", ""]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
    ids=["gaps", "large", "numbers", "bytes", "nothing", "categories"],
)
def test_texts_of_any_type_become_strings(column: pa.Array, texts: list[str]) -> None:
    inputs = ONE.conform(Dataset(pa.table({"text": column})), "target")
    assert inputs["text"][:] == texts
    assert inputs.features["text"].dtype == "string"


def test_selected_rows_stay_selected() -> None:
    table = Dataset.from_dict({"text": ["a", "b", "c"]}).select([2, 0])
    assert ONE.conform(table, "target")["text"][:] == ["c", "a"]


def test_lists_are_no_texts() -> None:
    table = Dataset.from_dict({"text": ["a"], "text_pair": [["b", "c"]]})
    with pytest.raises(InputError) as caught:
        PAIR.conform(table, "target")
    assert [problem.where for problem in caught.value.problems] == ["target, column 'hypothesis'"]


def test_tokens_are_kept_under_one_name_whatever_a_tokenizer_has_done_before(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path))
    inputs = Dataset.from_dict({"text": ["the goal", "a film"]})
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    for length in (3, 5):
        Text().encode(inputs, tokenizer, np.zeros((2, 32), np.uint8))
        tokenizer(["a goal"], truncation=True, max_length=length, padding=True)
    assert sum(path.is_dir() for path in (tmp_path / "tokens").iterdir()) == 1


def test_a_pair_is_two_columns() -> None:
    with pytest.raises(InputError, match="one column"):
        Text(kind="text", text="a", text_pair="a")


FILES = {
    "the task's name": ("a.csv", "review,text\nA,B\n", {"text": ["A"]}),
    "our name": ("a.csv", "text,stars\nA,5\n", {"text": ["A"]}),
    "the only column": ("a.tsv", "Überschrift\nA\n", {"text": ["A"]}),
    "its own delimiter": ("a.csv", "review;stars\nA, b;5\n", {"text": ["A, b"]}),
    "ids": ("a.jsonl", '{"id": 7, "review": "A"}\n', {"text": ["A"], "id": ["7"]}),
    "gaps": ("a.json", '[{"review": null}, {"review": "A"}]', {"text": ["", "A"]}),
    "lines": ("a.txt", "A\r\n\n B\u2028b\n", {"id": ["1", "3"], "text": ["A", " B\u2028b"]}),
}


@pytest.mark.parametrize("name", FILES)
def test_new_texts(tmp_path: Path, name: str) -> None:
    file, content, expected = FILES[name]
    (tmp_path / file).write_text(content, encoding="utf-8-sig", newline="")
    found = ONE.read_inputs(tmp_path / file)
    ids = {"id": [str(name) for name in found.ids["id"]]} if found.ids else {}
    assert {**found.inputs.to_dict(), **ids} == expected


@pytest.mark.parametrize("header", ["premise,hypothesis", "text,text_pair"])
def test_new_pairs(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\nA,B\n")
    assert PAIR.read_inputs(tmp_path / "a.csv").inputs.to_dict() == {
        "text": ["A"],
        "text_pair": ["B"],
    }


REFUSED = {
    "no such column": ("a.csv", b"x,y\nA,B\n", "allowed: x, y"),
    "broken table": ("a.csv", b"review\n\xfc\n", "line 2 is not utf-8"),
    "broken lines": ("a.txt", b"A\n\xfc\n", "line 2 is not utf-8"),
    "no lines": ("a.txt", b"", "empty"),
}


def test_pairs_are_named_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z\nA,B,C\n")
    found = PAIR.read_inputs(tmp_path / "a.csv", Asked(("z", "x"))).inputs
    assert found.to_dict() == {"text": ["C"], "text_pair": ["A"]}
    with pytest.raises(InputError, match="--text premise --text hypothesis"):
        PAIR.read_inputs(tmp_path / "a.csv", Asked(("z",)))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    file, content, words = REFUSED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        ONE.read_inputs(tmp_path / file)
    assert ".encoding" not in str(caught.value)  # predict has no such setting


def test_lines_are_no_pairs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A\tB\n")
    with pytest.raises(InputError, match="columns premise and hypothesis"):
        PAIR.read_inputs(tmp_path / "a.txt")


def test_a_pipe_is_read_once_and_whole() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"A\nB\n")
    os.close(writing)
    assert ONE.read_inputs(Path(f"/dev/fd/{reading}")).inputs["text"][:] == ["A", "B"]
    os.close(reading)


def test_standard_input_is_utf8_whatever_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    def standard_input(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))

    standard_input("schön\n".encode())
    assert ONE.read_inputs(None).inputs["text"][:] == ["schön"]
    standard_input(b"A\n\xfc\n")
    with pytest.raises(InputError, match=r"line 2 is not utf-8(.|\n)*standard input"):
        ONE.read_inputs(None)
