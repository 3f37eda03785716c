"""`ctkd compare`, on real sweeps of tiny models."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

Ctkd = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_run: list[str]) -> Path:
    """A sweep over two losses and three seeds, and a run with another test set."""
    from ctkd_cli.__main__ import main

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("compare")
        patch.chdir(folder)
        # Else all students are alike, and rivals know these topics at once.
        longer = ["training.steps=15", "training.learning_rate=0.02", "controls.rivals=[]"]
        jobs = ["loss=hint,mapped_kl", "seed=1,2,3", "name=a"]
        assert main(["run", "-m", *tiny_run, *longer, *jobs]) == 0
        assert main(["run", *tiny_run, *longer, "target.split_seed=7", "name=other"]) == 0
        return folder / "outputs"


def sweep(runs: Path) -> str:
    return str(next(runs.glob("*_a")))


def metrics(runs: Path, loss: str, key: str) -> list[float]:
    """By seed, from the jobs' own files."""
    found = {}
    for job in Path(sweep(runs)).glob("*/metrics.json"):
        overrides = (job.parent / "overrides.yaml").read_text()
        if f"loss={loss}" in overrides:
            seed = next(s for s in (1, 2, 3) if f"seed={s}" in overrides)
            found[seed] = json.loads(job.read_text())[key]
    return [found[seed] for seed in (1, 2, 3)]


def test_rows_are_groups_of_seeds(ctkd: Ctkd, runs: Path) -> None:
    code, out, err = ctkd("compare", sweep(runs), "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["seeds"] for row in rows] == [[1, 2, 3], [1, 2, 3]]
    assert all(row["differs"].keys() == {"loss.name"} for row in rows)  # not the temperature
    assert rows[0]["distilled"] >= rows[1]["distilled"]
    for row in rows:
        loss = row["differs"]["loss.name"]
        gains = metrics(runs, loss, "gain/macro_f1")
        assert row["gain"] == pytest.approx(np.mean(gains))
        low, high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
        # As in a run of three seeds: at least as careful as Student's t, and possible.
        assert -1 <= row["gain_low"] <= max(low, -1) + 1e-9
        assert 1 >= row["gain_high"] >= min(high, 1) - 1e-9
        distilled = metrics(runs, loss, "distilled/macro_f1")
        assert row["distilled"] == pytest.approx(np.mean(distilled))


def test_the_other_rows_are_tested_against_the_first(ctkd: Ctkd, runs: Path) -> None:
    rows = json.loads(ctkd("compare", sweep(runs), "--json")[1])
    assert rows[0]["distilled"] != rows[1]["distilled"]
    first, other = (metrics(runs, r["differs"]["loss.name"], "distilled/macro_f1") for r in rows)
    assert rows[0]["p_value"] is None
    assert rows[1]["p_value"] == pytest.approx(stats.ttest_rel(first, other).pvalue)


def test_one_seed_is_tested_by_mcnemar(ctkd: Ctkd, runs: Path) -> None:
    import pyarrow.parquet as pq

    jobs = [job.parent for job in Path(sweep(runs)).glob("*/overrides.yaml")
            if "seed=1" in job.read_text()]  # fmt: skip
    rows = json.loads(ctkd("compare", *map(str, jobs), "--json")[1])
    right = []
    for row in rows:
        table = pq.read_table(Path(row["runs"][0]) / "predictions.parquet").to_pylist()
        said = [row for row in table if row["arm"] == "distilled"]
        right.append(np.array([row["gold"] == row["predicted"] for row in said]))
    only = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    expected = stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    assert rows[1]["p_value"] == pytest.approx(expected)


def test_every_style_says_the_same(ctkd: Ctkd, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    data = json.loads(ctkd("compare", sweep(runs), "--json")[1])
    rows = list(csv.DictReader(io.StringIO(ctkd("compare", sweep(runs), "--csv")[1])))
    assert [row["loss.name"] for row in rows] == [row["differs"]["loss.name"] for row in data]
    assert [row["distilled"] for row in rows] == [f"{row['distilled']:.3f}" for row in data]
    markdown = ctkd("compare", sweep(runs), "--md")[1].splitlines()
    assert markdown[0].startswith("| loss.name | seeds | alone | best control | distilled | gain |")
    assert len(markdown) == 4
    shown = ctkd("compare", sweep(runs))[1]
    assert "loss=hint" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_sweeps_interval_is_compares(ctkd: Ctkd, runs: Path) -> None:
    """Falsely narrow it was -0.071 to -0.070 where compare said -0.116 to -0.031."""
    from ctkd_cli.sweep.directory import Sweep

    rows = json.loads(ctkd("compare", sweep(runs), "--json")[1])
    found = {group.settings["loss"]: group.gain for group in Sweep(Path(sweep(runs))).groups}
    for row in rows:
        gain = found[row["differs"]["loss.name"]]
        told = [row["gain"], row["gain_low"], row["gain_high"]]
        assert told == pytest.approx([gain.estimate, gain.low, gain.high])
        page = (Path(sweep(runs)) / "sweep.html").read_text()
        assert f"{row['gain_low']:+.3f} to {row['gain_high']:+.3f}" in page


def test_jobs_without_their_answers_have_no_narrower_an_interval(
    runs: Path, tmp_path: Path
) -> None:
    """Student's t over the jobs, and the mean of their own intervals, whichever is more careful."""
    from ctkd_cli.sweep.directory import Sweep

    copied = shutil.copytree(sweep(runs), tmp_path / "sweep")
    for file in copied.glob("*/predictions.parquet"):
        file.unlink()
    for group in Sweep(copied).groups:
        loss = group.settings["loss"]
        gains, lows, highs = (
            metrics(runs, loss, f"gain/macro_f1{end}") for end in ("", "_low", "_high")
        )
        low, high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
        assert group.gain.estimate == pytest.approx(np.mean(gains))
        assert group.gain.low == pytest.approx(min(max(low, -1), np.mean(lows)))
        assert group.gain.high == pytest.approx(max(min(high, 1), np.mean(highs)))


def test_each_test_set_has_a_table(ctkd: Ctkd, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the help's own example asks: ctkd compare outputs/*."""
    monkeypatch.setenv("COLUMNS", "80")
    directories = [str(path) for path in runs.iterdir()]
    code, out, err = ctkd("compare", *directories, "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert [len(list(part)) for _, part in groupby(rows, lambda row: row["test_set"])] in (
        [2, 1], [1, 2]
    )  # fmt: skip
    (other,) = (row for row in rows if row["runs"][0].endswith("_other"))
    assert other["differs"] == {}
    assert other["p_value"] is None
    assert [row["p_value"] is None for row in rows if row is not other] == [True, False]
    shown = ctkd("compare", *directories)[1]
    assert max(map(len, shown.splitlines())) <= 80
    headings = [line for line in shown.splitlines() if line.startswith("tested on ")]
    assert headings == [f"tested on {name}" for name in dict.fromkeys(r["test_set"] for r in rows)]
    for row in rows:
        first = Path(row["runs"][0])
        named = first.name if row is other else f"{first.parent.name}/{first.name} and 2 more"
        assert named in shown
    markdown = ctkd("compare", *directories, "--md")[1]
    assert markdown.count("| seeds | alone |") == 2
    table = list(csv.DictReader(io.StringIO(ctkd("compare", *directories, "--csv")[1])))
    assert [line["test set"] for line in table] == [row["test_set"] for row in rows]


def test_other_texts_under_the_same_ids_are_another_test_set(
    ctkd: Ctkd, runs: Path, tmp_path: Path
) -> None:
    """Ids that are counted are the same for every file, and labels may alternate in each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (run,) = runs.glob("*_other")
    copied = shutil.copytree(run, tmp_path / "copied")
    both = ["compare", str(run), str(copied), "--json"]
    assert len({row["test_set"] for row in json.loads(ctkd(*both)[1])}) == 1
    table = pq.read_table(copied / "predictions.parquet")
    texts = pa.array([f"{text} of another file" for text in table["input"].to_pylist()])
    place = table.column_names.index("input")
    pq.write_table(table.set_column(place, "input", texts), copied / "predictions.parquet")
    rows = json.loads(ctkd(*both)[1])
    assert len({row["test_set"] for row in rows}) == 2
    assert [row["p_value"] for row in rows] == [None, None]


def test_different_test_sets_share_a_table_if_asked(ctkd: Ctkd, runs: Path) -> None:
    directories = [str(path) for path in runs.iterdir()]
    code, out, _ = ctkd("compare", *directories, "--different-tests", "--json")
    assert code == 0
    other = next(row for row in json.loads(out) if row["differs"]["target.split_seed"] == "7")
    assert len(json.loads(out)) == 3
    assert other["p_value"] is None
    shown = ctkd("compare", *directories, "--different-tests")[1]
    assert "tested on" not in shown
    assert "target.split_seed=7" in shown


def test_what_is_no_run_is_named(ctkd: Ctkd, runs: Path, tmp_path: Path) -> None:
    code, _, err = ctkd("compare", sweep(runs), str(tmp_path))
    assert code == 2
    assert "no finished run lies here" in err
    assert str(tmp_path) in err


def test_equal_settings_with_other_figures_stand_apart(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path
) -> None:
    """A source file that changed between two runs: neither run is dropped. The same run again
    counts once."""
    source = tmp_path / "source.csv"
    given = next(each for each in tiny_run if each.startswith("source.train="))
    lines = Path(given.partition("=")[2]).read_text().splitlines()
    settings = [
        f"source.train={source}" if each == given else each
        for each in [*tiny_run, "controls.rivals=[]", "training.steps=15"]
    ]
    for name, changed in (("a", False), ("again", False), ("b", True)):
        rows = [line.rpartition(",") for line in lines[1:]]
        kept = rows[: len(rows) // 4] if changed else rows
        source.write_text("\n".join([lines[0], *("".join(row) for row in kept)]))
        code, _, err = ctkd("run", *settings, f"hydra.run.dir={tmp_path / name}")
        assert code == 0, err
    found = [str(tmp_path / name) for name in ("a", "again", "b")]
    code, out, err = ctkd("compare", *found, "--json")
    assert code == 0, err
    named = [row["runs"] for row in json.loads(out)]
    assert len(named) == 2
    assert sorted(each for runs in named for each in runs) in (
        sorted([found[1], found[2]]), sorted([found[0], found[2]])
    )  # fmt: skip
