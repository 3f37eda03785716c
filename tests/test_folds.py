"""`evaluation=folds`: every labelled example is tested once, by students that have not seen it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score

from ctkd_cli.experiment import of_overrides
from ctkd_cli.tasks import task

Ctkd = Callable[..., tuple[int, str, str]]
FOLDS = 4


@pytest.fixture
def asked(tiny_run: list[str]) -> list[str]:
    """80 rows, all with their labels: 40 of each of two."""
    few = [o for o in tiny_run if not o.startswith("target.labels_per_class")]
    return [*few, "evaluation=folds", f"folds={FOLDS}", "target.validation_size=0"]


def test_folds_part_the_labelled_examples(asked: list[str]) -> None:
    experiment = of_overrides(asked)
    loaded = [task.load(experiment.target, 1, fold) for fold in experiment.parts]
    tests = [list(each.test.ids) for each in loaded]
    names = [name for ids in tests for name in ids]
    assert len(names) == len(set(names)) == 80
    assert [len(ids) for ids in tests] == [20] * FOLDS
    for each in loaded:
        assert not {*each.test.ids} & {*each.train.ids}
        assert len(each.train) == 60
        assert each.counts()["test"] == {"entertainment": 10, "sport": 10}
    other_seed = [task.load(experiment.target, 2, fold) for fold in experiment.parts]
    assert [list(each.test.ids) for each in other_seed] == tests


def test_a_run_tests_every_labelled_example_once(ctkd: Ctkd, asked: list[str]) -> None:
    code, _, err = ctkd("run", *asked, "seeds=2", "controls=basic")
    assert code == 0, err
    (directory,) = Path("outputs").iterdir()
    rows: pd.DataFrame = pq.read_table(directory / "predictions.parquet").to_pandas()
    students = rows[~rows["arm"].isin(["teacher"])]
    for (_, seed), answers in students.groupby(["arm", "seed"]):
        assert len(answers) == answers["id"].nunique() == 80
        assert seed in (1, 2)
    metrics = json.loads((directory / "metrics.json").read_text())
    mine = students[(students["arm"] == "distilled") & (students["seed"] == 2)]
    assert metrics["distilled/seed=2/macro_f1"] == pytest.approx(
        f1_score(mine["gold"], mine["predicted"], average="macro", zero_division=0)
    )
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    begun = [
        (event["seed"], event["fold"])
        for event in events
        if (event["event"], event.get("arm")) == ("start", "distilled")
    ]
    assert begun == [(seed, fold) for seed in (1, 2) for fold in (1, 2, 3, 4)]
    assert "80 labelled examples is tested once, in 4 folds" in err
    assert "seed 2, fold 4" in err
    assert np.isfinite(metrics["gain/macro_f1_low"])


def test_the_budget_of_labels_stays(asked: list[str]) -> None:
    experiment = of_overrides([*asked, "target.labels_per_class=3"])
    for fold in experiment.parts:
        loaded = task.load(experiment.target, 1, fold)
        assert loaded.counts()["train"] == {"entertainment": 3, "sport": 3}
        assert len(loaded.test) == 20


def test_a_target_with_a_test_split_has_no_folds(
    ctkd: Ctkd, asked: list[str], tmp_path: Path
) -> None:
    (tmp_path / "test.csv").write_text("text,label\nthe goal,sport\na film,entertainment\n")
    code, _, err = ctkd("check", *asked, "target.test=test.csv")
    assert code == 2
    assert "folds are for those who have none" in err
    (remedy,) = (line.split()[1] for line in err.splitlines() if "try:" in line)
    assert ctkd("check", *asked, "target.test=test.csv", remedy)[0] == 0


def test_validation_speaks_for_all_folds_and_no_temperature_does(
    ctkd: Ctkd, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctkd_cli.arms.record.validated_temperature", lambda *given: 2.0)
    code, _, err = ctkd("run", *asked, "target.validation_size=5")
    assert code == 0, err
    (directory,) = Path("outputs").iterdir()
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    told = [e["macro_f1"] for e in events if e["event"] == "validation" and e["arm"] == "distilled"]
    assert len(told) == FOLDS
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics["distilled/validation_macro_f1"] == pytest.approx(sum(told) / FOLDS)
    assert {e["arm"] for e in events if e["event"] == "temperature"} == {"teacher"}


def test_groups_stay_together(tmp_path: Path) -> None:
    lines = [f"the goal {row},{'ab'[row % 2]},g{row // 4}" for row in range(40)]
    (tmp_path / "g.csv").write_text("\n".join(["text,label,who", *lines]))
    experiment = of_overrides(
        ["target=files", f"target.train={tmp_path / 'g.csv'}", "target.group=who",
         "evaluation=folds", "target.validation_size=0"]
    )  # fmt: skip
    seen: list[set[str]] = []
    for fold in experiment.parts:
        loaded = task.load(experiment.target, 1, fold)
        assert loaded.test.groups is not None
        seen.append({*loaded.test.groups})
    assert sum(map(len, seen)) == len(set.union(*seen)) == 10
