"""Splits: fixed, disjoint, counted, and honest about labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ctkd_cli.arms import keys
from ctkd_cli.data.base import Reader
from ctkd_cli.errors import InputError
from ctkd_cli.experiment import _Composer
from ctkd_cli.tasks import task
from ctkd_cli.tasks.kinds.base import Kind
from ctkd_cli.tasks.positions import UNLABELLED
from ctkd_cli.tasks.settings import AnyTask, TaskSettings
from ctkd_cli.tasks.task import Task


def settings(folder: Path, rows: list[tuple[str, str]], **more: object) -> AnyTask:
    file = folder / "train.csv"
    file.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    values = {"kind": "text", "reader": "files", "train": str(file), **more}
    composed = _Composer({"target": values}).type_of("target", TaskSettings, Kind, Reader)
    made: AnyTask = composed(**values)
    return made


def rows(**counts: int) -> list[tuple[str, str]]:
    return [(f"text {label} {i}", label) for label, n in counts.items() for i in range(n)]


def load(folder: Path, data: list[tuple[str, str]], seed: int = 1, **more: object) -> Task:
    return task.load(settings(folder, data, **more), seed)


def test_splits_are_disjoint_stratified_and_complete(tmp_path: Path) -> None:
    loaded = load(tmp_path, rows(a=100, b=50))
    assert loaded.counts() == {
        "train": {"a": 72, "b": 36},
        "validation": {"a": 8, "b": 4},
        "test": {"a": 20, "b": 10},
    }
    ids = [set(split.ids) for split in loaded.splits().values()]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 150


def test_splits_do_not_depend_on_the_runs_seed(tmp_path: Path) -> None:
    first, second = (load(tmp_path, rows(a=40, b=40), seed=seed) for seed in (1, 2))
    for name in ("train", "validation", "test"):
        assert first.splits()[name].ids == second.splits()[name].ids


def test_few_labels_are_drawn_by_seed_and_the_rest_is_unlabelled(tmp_path: Path) -> None:
    one, again, other = (
        load(tmp_path, rows(a=40, b=40), seed=seed, labels_per_class=5) for seed in (1, 1, 2)
    )
    assert Counter(one.train.labels.values.tolist()) == {0: 5, 1: 5, UNLABELLED: 54}
    assert len(one.validation) == 0  # no labels on the side
    np.testing.assert_array_equal(one.train.labels.values, again.train.labels.values)
    assert not np.array_equal(one.train.labels.values, other.train.labels.values)
    assert one.test.ids == other.test.ids


def test_validation_labels_are_counted_apart(tmp_path: Path) -> None:
    loaded = load(tmp_path, rows(a=40, b=40), labels_per_class=5, validation_size=3)
    assert loaded.counts()["validation"] == {"a": 3, "b": 3}
    assert not set(loaded.validation.ids) & set(loaded.train.ids)


def test_seeds_that_draw_other_labels_share_one_knowledge_store(tmp_path: Path) -> None:
    tasks = [
        load(tmp_path, rows(a=40, b=40), seed=seed, labels_per_class=5, validation_size=2)
        for seed in (1, 2)
    ]
    assert tasks[0].fingerprint != tasks[1].fingerprint
    pools = [keys.target_pool(loaded) for loaded in tasks]
    assert pools[0].ids == pools[1].ids
    prints = [
        task.fingerprint(t.settings, (), [pool]) for t, pool in zip(tasks, pools, strict=True)
    ]
    assert prints[0] == prints[1]


def test_rows_without_a_label_are_unlabelled_inputs(tmp_path: Path) -> None:
    loaded = load(tmp_path, [*rows(a=10, b=10), ("nobody knows", ""), ("nor this", "  ")])
    hidden = [loaded.train.ids[i] for i in np.flatnonzero(~loaded.train.labels.labelled)]
    assert hidden == ["train-20", "train-21"]


def test_labels_are_chosen_ordered_renamed_and_merged(tmp_path: Path) -> None:
    data = rows(cat=20, dog=20, oak=20, elm=20)
    assert load(tmp_path, data, labels=["oak", "cat"]).labels == ("oak", "cat")
    merged = load(tmp_path, data, labels={"oak": "tree", "elm": "tree", "dog": "animal"})
    assert merged.labels == ("tree", "animal")
    assert merged.counts()["test"] == {"tree": 8, "animal": 4}


def test_what_test_holds_is_left_out_of_train(tmp_path: Path) -> None:
    test = tmp_path / "test.csv"
    test.write_text("text,label\nText A 3,a\nfresh,b\n")  # differs in case only
    data = [*rows(a=10, b=10), ("text a 3", "a"), ("text a 4", "b")]
    loaded = load(tmp_path, data, test=str(test), validation_size=0)
    texts = [row["text"] for row in loaded.train.inputs]
    assert len(texts) == 19
    assert "text a 3" not in texts
    assert any("2 examples of train left out: test holds them too" in n for n in loaded.notes)
    assert any("1 example of train left out: repetitions" in n for n in loaded.notes)


def test_of_two_equal_examples_the_labelled_one_stays(tmp_path: Path) -> None:
    loaded = load(tmp_path, [("same", ""), *rows(a=10, b=10), ("same", "a")], validation_size=0)
    kept = [
        loaded.train.labels.values[i]
        for i, row in enumerate(loaded.train.inputs)
        if row["text"] == "same"
    ]
    in_test = "same" in [row["text"] for row in loaded.test.inputs]
    assert in_test or kept == [0]


def test_empty_texts_are_left_out_and_told(tmp_path: Path) -> None:
    loaded = load(tmp_path, [*rows(a=10, b=10), ("  ", "a")])
    assert "1 example of train left out: empty" in loaded.notes


def test_limits_keep_the_labelled_examples(tmp_path: Path) -> None:
    loaded = load(tmp_path, rows(a=100, b=100), labels_per_class=4, limit=20)
    assert len(loaded.train) == len(loaded.test) == 20
    assert Counter(loaded.train.labels.values.tolist()) == {0: 4, 1: 4, UNLABELLED: 12}


@pytest.mark.parametrize(
    ("data", "more", "what"),
    [
        (rows(a=10), {}, "at least two labels"),
        (rows(a=10, b=10), {"labels": ["a", "c"]}, "no such label"),
        (rows(a=10, b=10), {"text": "txt"}, "did you mean text"),
    ],
)
def test_data_that_cannot_serve(tmp_path: Path, data, more, what: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=what):
        load(tmp_path, data, **more)


def test_fewer_labels_than_asked_for_are_told(tmp_path: Path) -> None:
    loaded = load(tmp_path, rows(a=50, b=8), labels_per_class=16)
    assert loaded.counts()["train"] == {"a": 16, "b": 6}
    assert loaded.notes[0] == (
        "target.labels_per_class=16 is more than there is, so all are taken: 'b' has 6; none is "
        "left to validate on, as always with labels_per_class: target.validation_size=1 sets one "
        "of each label aside"
    )
    again = load(tmp_path, rows(a=50, b=8), labels_per_class=16, validation_size=1)
    assert again.counts()["validation"] == {"a": 1, "b": 1}
    assert again.counts()["train"] == {"a": 16, "b": 5}
    assert again.notes[0] == (
        "target.labels_per_class=16 is more than there is, so all are taken: 'b' has 5"
    )


def test_the_fingerprint_follows_content(tmp_path: Path) -> None:
    data = rows(a=10, b=10)
    plain = load(tmp_path, data).fingerprint
    assert load(tmp_path, data).fingerprint == plain
    assert load(tmp_path, [*data[:-1], ("changed", "b")]).fingerprint != plain
    assert load(tmp_path, data, max_length=64).fingerprint != plain
    assert load(tmp_path, data, labels=["b", "a"]).fingerprint != plain


def test_text_pairs_are_two_columns(tmp_path: Path, tiny_bert: Path) -> None:
    from transformers import AutoTokenizer

    file = tmp_path / "pairs.csv"
    lines = [f"the goal {i},the film {i},{'yes' if i % 2 else 'no'}" for i in range(20)]
    file.write_text("\n".join(["premise,hypothesis,label", *lines]))
    values = {
        "kind": "text", "reader": "files", "train": str(file), "text": "premise",
        "text_pair": "hypothesis", "max_length": 6,
    }  # fmt: skip
    composed = _Composer({"target": values}).type_of("target", TaskSettings, Kind, Reader)
    loaded = task.load(composed(**values), 1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    encoded = loaded.settings.encode(loaded.train.inputs, tokenizer)
    row = loaded.train.inputs[0]
    expected = tokenizer(row["text"], row["text_pair"], truncation=True, max_length=6)
    assert encoded.rows[0]["input_ids"].tolist() == expected["input_ids"]
    assert encoded.truncated == len(loaded.train)  # every pair is longer than 6 tokens
    assert set(encoded.rows[0]) <= {"input_ids", "token_type_ids", "attention_mask"}  # no label


def test_a_label_keeps_its_last_examples_to_train_on(tmp_path: Path) -> None:
    """Test leaves one, validation two."""
    loaded = load(tmp_path, rows(a=100, b=3, c=2, d=1))
    counts = {part: list(of_label.values()) for part, of_label in loaded.counts().items()}
    assert counts["train"][1:] == [2, 1, 1]
    assert counts["validation"][1:] == [0, 0, 0]
    assert counts["test"][1:] == [1, 1, 0]
    assert "label 'd' is absent from test" in loaded.notes


def test_ids_of_the_unlabelled_never_meet_those_of_train(tmp_path: Path) -> None:
    """Both tables count from 1; what the teacher says is joined by id."""
    lines = [f"{n},text {n},{'ab'[n % 2]}" for n in range(20)]
    (tmp_path / "own.csv").write_text("\n".join(["id,text,label", *lines]))
    (tmp_path / "more.csv").write_text("id,text\n1,one more\n2,and another\n")
    files = {"train": str(tmp_path / "own.csv"), "unlabelled": str(tmp_path / "more.csv")}
    train = load(tmp_path, [], **files).train
    assert len(set(train.ids)) == len(train) == 18  # 20 - 4 (test) + 2 unlabelled
    assert dict(zip(train.ids, train.inputs["text"], strict=True))["unlabelled-1"] == "one more"


def saved(folder: Path, **columns: list[object]) -> dict[str, object]:
    """Settings of a saved data set: a train split, and a test split whose labels are hidden."""
    from datasets import Dataset, DatasetDict

    train = Dataset.from_dict(columns)
    hidden = Dataset.from_dict({"text": ["x", "y"], "label": [-1, -1]})
    DatasetDict({"train": train, "test": hidden}).save_to_disk(folder / "saved")
    return {"reader": "saved", "folder": str(folder / "saved")}


def test_a_hidden_test_split_gives_way_to_a_part_of_train(tmp_path: Path) -> None:
    data = saved(tmp_path, text=[f"t {n}" for n in range(20)], label=[n % 2 for n in range(20)])
    values = {"kind": "text", **data}
    composed = _Composer({"target": values}).type_of("target", TaskSettings, Kind, Reader)
    loaded = task.load(composed(**values), 1)
    assert loaded.counts()["test"] == {"0": 2, "1": 2}
    assert "the data's own test split is not used: it has no labels" in loaded.notes


def test_ids_that_repeat_are_counted_anew(tmp_path: Path) -> None:
    data = saved(
        tmp_path,
        text=[f"t {n}" for n in range(20)],
        label=[n % 2 for n in range(20)],
        id=["same"] * 20,
    )
    values = {"kind": "text", **data}
    composed = _Composer({"target": values}).type_of("target", TaskSettings, Kind, Reader)
    loaded = task.load(composed(**values), 1)
    ids = [name for split in loaded.splits().values() for name in split.ids]
    assert sorted(ids) == sorted(f"train-{n}" for n in range(20))
    assert "the ids of train are not used: some repeat" in loaded.notes


def test_missing_texts_are_left_out(tmp_path: Path) -> None:
    rows = [f'{{"text": "t {n}", "label": "{"ab"[n % 2]}"}}' for n in range(20)]
    (tmp_path / "gaps.jsonl").write_text("\n".join([*rows, '{"text": null, "label": "a"}']))
    loaded = load(tmp_path, [], train=str(tmp_path / "gaps.jsonl"))
    assert sum(map(len, loaded.splits().values())) == 20
    assert "1 example of train left out: empty" in loaded.notes
