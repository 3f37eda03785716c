"""Files with a word per line, as people have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from ctkd_cli.data.base import Reader
from ctkd_cli.data.conll import Conll
from ctkd_cli.errors import InputError
from ctkd_cli.experiment import _Composer
from ctkd_cli.tasks import task
from ctkd_cli.tasks.kinds.base import Kind
from ctkd_cli.tasks.settings import AnyTask, TaskSettings
from ctkd_cli.tasks.task import Task

COLUMNS = {"words": "words"}
CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
\t \n\
Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER

-DOCSTART- -X- -X- O

BRUSSELS NNP B-NP B-LOC
"""
CONLL_U = """# newdoc id = weblog-1
# sent_id = s1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_
3.1\tnada\t_\t_\t_\t_\t_\t_\t_\t_

# sent_id = s2
1\t10 000\t10000\tNUM\t_\t_\t0\troot\t_\t_
2\t#\t#\tSYM\t_\t_\t1\tdep\t_\t_
"""


def read(folder: Path, content: str | bytes, **settings: object) -> dict[str, list[object]]:
    file = folder / "a.conll"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Conll(train=str(file), **settings).read(COLUMNS, "tags")["train"].to_dict()  # type: ignore[arg-type]


def test_conll_2003_in_documents(tmp_path: Path) -> None:
    found = read(tmp_path, CONLL_2003)
    assert found == {
        "words": [["EU", "rejects"], ["Peter", "Blackburn"], ["BRUSSELS"]],
        "tags": [["B-ORG", "O"], ["B-PER", "I-PER"], ["B-LOC"]],
        "group": ["train-document-1", "train-document-1", "train-document-2"],
    }
    chunks = read(tmp_path, CONLL_2003.replace("\n", "\r\n"), tag_column=2)
    assert chunks["tags"] == [["B-NP", "B-VP"], ["B-NP", "I-NP"], ["B-NP"]]


def test_conll_u_without_ranges_and_empty_nodes(tmp_path: Path) -> None:
    found = read(tmp_path, CONLL_U)
    assert found == {
        "words": [["vamos", "nos"], ["10 000", "#"]],
        "tags": [["VERB", "PRON"], ["NUM", "SYM"]],
        "group": ["weblog-1", "weblog-1"],
        "id": ["s1", "s2"],
    }
    assert read(tmp_path, CONLL_U, tag_column="deprel")["tags"] == [
        ["root", "obj"],
        ["root", "dep"],
    ]
    assert read(tmp_path, CONLL_U, tag_column="xpos")["tags"] == [["V", "P"], [None, None]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("#tag\tB-x\nnow\tO\n", [["#tag", "now"]]),  # a hashtag is no remark
        ("# NN O\nnow RB O\n", [["#", "now"]]),
        ("# id = 1\nnow RB B-x O\n", [["now"]]),  # a remark with as many fields as a word
        ("# a remark of eleven words that says what is in this file\nnow\tO\n", [["now"]]),
        ("#newdoc\nnow\tO\n", [["now"]]),
        ("a\u00a0b O\nc O\n", [["a\u00a0b", "c"]]),  # a blank that does not break
        ("a \tO \nb\tO", [["a", "b"]]),
        ("\tO\nb\tO\n", [["", "b"]]),
        ("a  O\nb O\n\n\n\nc O\n\n", [["a", "b"], ["c"]]),
        ("\ufeffa O\n", [["a"]]),
        ("a O\n-DOCSTART- O\nb O\n", [["a"], ["b"]]),
    ],
)
def test_odd_lines(tmp_path: Path, content: str, words: list[list[str]]) -> None:
    assert read(tmp_path, content)["words"] == words


def test_remarks_alone_are_no_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sentence"):
        read(tmp_path, "# a = b\n\n# c = d\n")


def test_ten_columns_that_are_not_conll_u(tmp_path: Path) -> None:
    found = read(tmp_path, "a 1 2 3 4 5 6 7 8 B-x\n")
    assert (found["words"], found["tags"]) == ([["a"]], [["B-x"]])


@pytest.mark.parametrize(
    ("content", "more", "told"),
    [
        ("a O\nb X O\n", {}, "line 2 has 3 fields, and the lines before it 2"),
        ("a\nb\n", {}, "words and tags are one column"),
        ("\n\n", {}, "this file has no sentence"),
        ("a O\n" * 501, {}, "this file has one sentence"),
        (b"a O\nb\xe9 O\n", {}, "line 2 is not utf-8"),
        ("a O\n", {"tag_column": 5}, "the data has no such column"),
        ("a O\n", {"tag_column": "upos"}, "the data has no such column"),
        ("a O\n", {"word_column": -3}, "the data has no such column"),
    ],
)
def test_what_is_wrong_is_one_message(
    tmp_path: Path, content: str | bytes, more: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, content, **more)
    (problem,) = caught.value.problems
    assert problem.what == told
    assert "a.conll" in f"{problem.where} {problem.got}"


def task_of(**values: object) -> Task:
    values = {"kind": "words", "label": "tags", **values}
    composed = _Composer({"target": values}).type_of("target", TaskSettings, Kind, Reader)
    made: AnyTask = composed(**values)
    return task.load(made, seed=1)


def sentences(prefix: str, documents: int) -> str:
    """Documents of two sentences, each of four words that no other has."""
    return "\n".join(
        f"-DOCSTART- O\n\n{prefix}{n}a B-x\n{prefix}{n}b O\n\n{prefix}{n}c B-y\n{prefix}{n}d O\n"
        for n in range(documents)
    )


def test_documents_of_two_files_are_others_though_both_are_counted(tmp_path: Path) -> None:
    train, test = tmp_path / "train.conll", tmp_path / "test.conll"
    train.write_text(sentences("train", 10))
    test.write_text(sentences("test", 5))
    files = {"train": str(train), "test": str(test)}
    loaded = task_of(reader="conll", group="group", validation_size=0.1, **files)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (18, 2, 10)
    assert loaded.notes == ()


def test_a_document_that_is_named_in_two_files_is_in_one_split(tmp_path: Path) -> None:
    train, test = tmp_path / "train.conllu", tmp_path / "test.conllu"
    train.write_text("".join(f"# newdoc id = {d}\n{d}a B-x\n{d}b B-y\n\n" for d in "pqrstuvwxyz"))
    test.write_text("# newdoc id = p\nother B-x\nwords B-y\n")
    loaded = task_of(reader="conll", train=str(train), test=str(test), group="group")
    assert loaded.notes[0] == "1 example of train left out: test holds others of their group"


def test_a_split_keeps_documents_whole(tmp_path: Path) -> None:
    file = tmp_path / "all.conll"
    file.write_text(sentences("", 20))
    loaded = task_of(reader="conll", train=str(file), group="group", validation_size=0.1)
    groups = [set(split.groups or ()) for split in loaded.splits().values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20
    assert [len(split) for split in loaded.splits().values()] == [28, 4, 8]


def test_a_type_that_is_rarer_than_asked_is_told(tmp_path: Path) -> None:
    """By where its names begin: I-z and O are not asked for."""
    file = tmp_path / "all.conll"
    file.write_text(sentences("", 20) + "\nrare B-z\nword I-z\n")
    test = tmp_path / "test.conll"
    test.write_text("x B-x\ny B-y\nz B-z\nz I-z\no O\n")
    loaded = task_of(reader="conll", train=str(file), test=str(test), labels_per_class=5)
    (note,) = loaded.notes
    assert "more than there is, so all are taken: 'B-z' has 1; none is left" in note


ROWS = {
    "words": [[f"Ann{n}", "goes", "to", "Oslo"] for n in range(20)],
    "tags": [["B-PER", "O", "O", "B-LOC"] for _ in range(20)],
}
NUMBERED = Features(
    {
        "words": List(Value("string")),
        "tags": List(ClassLabel(names=["O", "B-PER", "I-PER", "B-LOC"])),
    }
)


def jsonl(folder: Path) -> dict[str, object]:
    Dataset.from_dict(ROWS).to_json(folder / "a.jsonl")
    return {"reader": "files", "train": str(folder / "a.jsonl")}


def parquet(folder: Path) -> dict[str, object]:
    Dataset.from_dict(ROWS).to_parquet(folder / "a.parquet")
    return {"reader": "files", "train": str(folder / "a.parquet")}


def saved(folder: Path) -> dict[str, object]:
    DatasetDict(train=Dataset.from_dict(ROWS, features=NUMBERED)).save_to_disk(folder / "a")
    return {"reader": "saved", "folder": str(folder / "a")}


def hub(folder: Path) -> dict[str, object]:
    Dataset.from_dict(ROWS, features=NUMBERED).to_parquet(folder / "train.parquet")
    return {"reader": "hub", "path": str(folder)}


@pytest.mark.parametrize("write", [jsonl, parquet, saved, hub])
def test_lists_of_words_and_tags(
    tmp_path: Path, write: Callable[[Path], dict[str, object]]
) -> None:
    """Tags as names, and as numbers that a ClassLabel names."""
    loaded = task_of(**write(tmp_path))
    assert loaded.labels == ("B-LOC", "B-PER", "O")
    totals = [sum(counts[label] for counts in loaded.counts().values()) for label in loaded.labels]
    assert totals == [20, 20, 40]


@pytest.mark.parametrize("write", [jsonl, parquet])
def test_a_row_with_more_words_than_tags(
    tmp_path: Path, write: Callable[[Path], dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROWS, "tags", [*ROWS["tags"][:-1], ["O"]])
    with pytest.raises(InputError, match="other numbers of words and of tags") as caught:
        task_of(**write(tmp_path))
    (problem,) = caught.value.problems
    assert "row 20" in problem.where
    assert problem.got == "4 words, 1 tags"


@pytest.mark.parametrize(("column", "tags"), [("1", ["X", "Y"]), ("-1", ["B-A", "O"])])
def test_the_number_of_a_column_is_one_on_the_command_line(
    ctkd: Callable[..., tuple[int, str, str]], tmp_path: Path, column: str, tags: list[str]
) -> None:
    words = "\n\n".join(f"w{n} X B-A\nv{n} Y O" for n in range(20))
    (tmp_path / "words.conll").write_text(words)
    code, out, err = ctkd(
        "check", "source=conll", "source.train=words.conll", "target=conll",
        "target.train=words.conll", f"target.tag_column={column}", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert list(json.loads(out)["target"]["counts"]["train"]) == tags


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        ("[PER,LOC]", {"B-PER": 20, "I-PER": 20, "B-LOC": 20, "O": 60}),
        ("{LOC: place}", {"B-place": 20, "O": 100}),
        ("[LOC,O]", {"B-LOC": 20, "O": 100}),
    ],
)
def test_types_of_entities_are_asked_for(
    ctkd: Callable[..., tuple[int, str, str]], tmp_path: Path, labels: str, counts: dict[str, int]
) -> None:
    """Words of other types are outside then. A type that is not there is told with those that
    are, and what is meant can be pasted."""
    words = "\n\n".join(
        f"Ann B-PER\nLee I-PER\nof O\nAcme B-ORG\nin{n} O\nOslo B-LOC" for n in range(20)
    )
    (tmp_path / "words.conll").write_text(words)
    asked = ["check", "source=conll", "source.train=words.conll", "target=conll",
             "target.train=words.conll", "--json"]  # fmt: skip
    code, out, err = ctkd(*asked, f"target.labels={labels}")
    assert code == 0, err
    splits = json.loads(out)["target"]["counts"].values()
    assert {label: sum(each[label] for each in splits) for label in next(iter(splits))} == counts
    code, _, err = ctkd(*asked, f"target.labels={labels.replace('LOC', 'LOK')}")
    assert code == 2
    assert "LOC, ORG, PER, B-LOC" in err
    assert "did you mean LOC?" in err
