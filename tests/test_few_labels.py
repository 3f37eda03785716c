"""Few labels, uneven ones, one of each: nothing is refused, and what was done is said."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

Ctkd = Callable[..., tuple[int, str, str]]
TOPICS = [
    "goal",
    "film",
    "chip",
    "vote",
    "bank",
    "rain",
    "song",
    "ship",
    "bird",
    "road",
    "tea",
    "lamp",
]


def write(file: Path, rows: Sequence[tuple[str, str]]) -> Path:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return file


def texts(label: str, n: int, start: int = 0) -> list[tuple[str, str]]:
    return [(f"the {label} of number {start + i} is a {label}", label) for i in range(n)]


@pytest.fixture
def few(tiny_run: list[str], tmp_path: Path) -> Callable[..., list[str]]:
    """Overrides of a tiny run on a target of one's own."""

    def made(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> list[str]:
        others = [s for s in tiny_run if not s.startswith(("target.train", "target.labels_per"))]
        files = {"train": train, "test": test}
        for part, rows in files.items():
            others.append(f"target.{part}={write(tmp_path / f'{part}.csv', rows)}")
        return others

    return made


CASES = {
    "two to ninety": (
        [row for label, n in zip(TOPICS, [2, 2, 3, 4, 6, 8, 9, 12, 20, 30, 40, 90], strict=True)
         for row in texts(label, n)],
        [row for label in TOPICS for row in texts(label, 3, start=500)],
        "set aside for validation",
    ),
    "one of each": (
        [row for label in TOPICS[:4] for row in texts(label, 1)],
        [row for label in TOPICS[:4] for row in texts(label, 5, start=500)],
        "none of 4 labelled examples set aside for validation",
    ),
    "two of each": (
        [row for label in TOPICS[:3] for row in texts(label, 2)],
        [row for label in TOPICS[:3] for row in texts(label, 5, start=500)],
        "none of 6 labelled examples set aside for validation",
    ),
    "a rare label's only example is in test": (
        [*texts("goal", 30), *texts("film", 20), *texts("vote", 1)],
        [*texts("goal", 9, start=500), *texts("film", 9, start=500), *texts("vote", 1),
         *texts("vote", 2, start=500)],
        "1 example of test left out: copies of all that train has of 1 label",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_refused(
    ctkd: Ctkd, few: Callable[..., list[str]], tmp_path: Path, case: str
) -> None:
    train, test, said = CASES[case]
    run = tmp_path / "run"
    code, out, err = ctkd("run", *few(train, test), f"hydra.run.dir={run}")
    assert code == 0, err
    assert said in out + err
    asked = {label for _, label in train}
    columns = pq.read_table(run / "predictions.parquet").column_names
    assert {f"p({label})" for label in asked} <= set(columns), "every label can be answered"


@pytest.mark.parametrize(
    ("case", "remedy"),
    [
        ("two to ninety", "target.validation_size=0"),
        ("one of each", "target.validation_size=0.1"),
    ],
)
def test_what_is_set_aside_can_be_had_otherwise(
    ctkd: Ctkd, few: Callable[..., list[str]], case: str, remedy: str
) -> None:
    train, test, told = CASES[case]
    settings = few(train, test)
    code, out, err = ctkd("check", *settings)
    assert code == 0, err
    assert told in " ".join(out.split())
    code, out, err = ctkd("check", *settings, remedy)
    assert code == 0, err
    assert told not in " ".join(out.split())


def test_a_rare_label_is_answered_where_classes_are_weighed(
    ctkd: Ctkd, few: Callable[..., list[str]], tmp_path: Path
) -> None:
    train = [*texts("goal", 97), *texts("film", 3)]
    test = [*texts("goal", 30, start=500), *texts("film", 30, start=500)]
    settings = [*few(train, test), "training.steps=40"]
    answered = {}
    for weights in ("none", "auto"):
        run = tmp_path / weights
        asked = [f"training.class_weights={weights}", f"hydra.run.dir={run}"]
        assert ctkd("run", *settings, *asked)[0] == 0
        rows = pq.read_table(run / "predictions.parquet").to_pylist()
        alone = [row["p(film)"] for row in rows if row["arm"] == "alone"]
        answered[weights] = sum(alone) / len(alone)
    assert answered["auto"] > answered["none"] + 0.1
