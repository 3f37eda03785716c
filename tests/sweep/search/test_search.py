"""`hydra/sweeper=optuna`, as a user would: trials, pruning, going on, and what was found."""

from __future__ import annotations

import csv
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import pytest
import yaml

from ctkd_cli import reports, run
from ctkd_cli.runs.rundir import status_of
from ctkd_cli.sweep import search
from ctkd_cli.sweep.search import sweeper
from ctkd_cli.sweep.search.best_trials import study_of

if TYPE_CHECKING:
    from ctkd_cli.preflight.checks import Checked

Ctkd = Callable[..., tuple[int, str, str]]
DIGITS = [
    "source=digits_low", "target=digits_high", "teacher=convnet", "student=convnet",
    "source.limit=60", "target.limit=120", "teacher.training.steps=4", "training.steps=4",
    "training.learning_rate=3e-3", "target.validation_size=10", "seeds=1",
]  # fmt: skip
SPACE = ["hydra/sweeper=optuna", "lambda=tag(log, interval(0.1, 10))", "loss=choice(hint, sp)"]
SAMPLER = "hydra.sweeper.sampler"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))


def only() -> Path:
    (directory,) = Path("outputs").iterdir()
    return directory


def trials(directory: Path) -> list[optuna.trial.FrozenTrial]:
    study = study_of(directory)
    assert study is not None
    return study.trials


def rows(directory: Path) -> list[dict[str, str]]:
    with (directory / "sweep.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_tune(ctkd: Ctkd) -> None:
    """The YAML that ships, cut down; the command that it proposes works."""
    code, out, err = ctkd(
        "run", "experiment=tune", *DIGITS, "seeds=1", "hydra.sweeper.n_trials=2",
        "hydra.sweeper.pruner.name=none",
    )  # fmt: skip
    assert code == 0, err
    directory = only()
    found = trials(directory)
    assert [trial.state.name for trial in found] == 2 * ["COMPLETE"]
    assert {key for trial in found for key in trial.params} == {"loss", "lambda", "schedule"}
    for trial, row in zip(found, rows(directory), strict=True):
        assert row["job"] == str(trial.number)
        assert row["loss"] == trial.params["loss"]
        assert float(row["lambda"]) == pytest.approx(trial.params["lambda"], rel=1e-3)
        settings = yaml.safe_load((directory / row["job"] / "config.yaml").read_text())
        assert settings["lambda"] == float(row["lambda"])
    best = max(found, key=lambda trial: (trial.value, -trial.number))
    assert f"Trial {best.number} with new seeds and all controls:" in out
    assert (directory / "search_history.png").exists()
    assert "best so far" in (directory / "sweep.html").read_text()
    command = shlex.split(out.splitlines()[-1])
    assert command[:2] == ["ctkd", "run"]
    assert command[-3:] == ["seed=2", "seeds=5", "controls=full"]
    again = [word for word in command[1:] if word not in ("seeds=5", "controls=full")]
    code, _, err = ctkd(*again)
    assert code == 0, err
    assert len(list(Path("outputs").iterdir())) == 2


class Story:
    """Stands in for run.run: scores without training, best near lambda=2 and with loss=sp. broken:
    what job numbers raise."""

    def __init__(self) -> None:
        self.broken: dict[str, BaseException] = {}
        self.ran: list[str] = []

    def __call__(
        self,
        checked: Checked,
        directory: Path,
        overrides: list[str],
        listener: object = None,
        among: bool = False,
    ) -> dict[str, float]:
        experiment = checked.experiment
        if directory.name in self.broken:
            raise self.broken[directory.name]
        self.ran.append(directory.name)
        score = (
            0.8 - 0.1 * abs(math.log(experiment.lambda_ / 2)) + 0.1 * (experiment.loss.name == "sp")
        )
        scores = {"distilled/validation_macro_f1": score, "distilled/macro_f1": score - 0.01}
        gains = {"alone/macro_f1": 0.5, "gain/macro_f1": 0.2, "distilled/accuracy": 0.7}
        settings = experiment.model_dump(mode="json", by_alias=True)
        for name, data in {
            "config.yaml": settings, "overrides.yaml": overrides,
            "metrics.json": {**scores, **gains}, "status.json": {"status": "complete"},
        }.items():  # fmt: skip
            (directory / name).write_text(json.dumps(data))
        return {**scores, **gains}


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    stands_in = Story()
    monkeypatch.setattr(run, "run", stands_in)
    monkeypatch.setattr(reports, "print_summary", lambda *args, **more: None)
    return stands_in


def test_the_search_finds_what_is_good(ctkd: Ctkd, story: Story) -> None:
    code, out, err = ctkd("run", "-m", *DIGITS, *SPACE, "hydra.sweeper.n_trials=25")
    assert code == 0, err
    found = trials(only())
    best = max(found, key=lambda trial: trial.value)
    assert best.params["loss"] == "sp"
    assert 1 < best.params["lambda"] < 4
    late = [trial.value for trial in found[15:]]
    early = [trial.value for trial in found[:10]]
    assert sum(late) / len(late) > sum(early) / len(early)
    assert f"Trial {best.number} with new seeds" in out
    assert (only() / "search_importance.png").exists()


def test_an_interrupted_study_goes_on_as_if_it_had_not_been(ctkd: Ctkd, story: Story) -> None:
    """No trial is lost or repeated."""
    few = ["hydra.sweeper.n_trials=8", f"{SAMPLER}.n_startup_trials=3"]
    asked = ["run", "-m", *DIGITS, *SPACE, *few]
    assert ctkd(*asked)[0] == 0
    unbroken = [(trial.params, trial.value) for trial in trials(only())]
    only().rename("unbroken")
    story.broken = {"5": KeyboardInterrupt()}
    assert ctkd(*asked)[0] == 130
    assert [t.state.name for t in trials(only())] == [*5 * ["COMPLETE"], "RUNNING"]
    with (only() / "optuna.journal").open("a") as journal:
        journal.write('{"op_code":4,"wor')  # the power went off
    story.broken, story.ran = {}, []
    code, out, err = ctkd("resume", str(only()))
    assert code == 0, err
    assert story.ran == ["5", "6", "7"]
    assert [(trial.params, trial.value) for trial in trials(only())] == unbroken
    assert len({params["lambda"] for params, _ in unbroken}) == 8
    assert "with new seeds and all controls:" in out


def test_a_trial_whose_job_was_complete_but_not_told_is_not_run_again(
    ctkd: Ctkd, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a job's end and the study's hearing of it."""
    asked = ["run", "-m", *DIGITS, *SPACE, "hydra.sweeper.n_trials=2"]
    with monkeypatch.context() as patch:
        patch.setattr(sweeper, "_tell", lambda *args: None)
        assert ctkd(*asked)[0] == 0
    assert [trial.state.name for trial in trials(only())] == 2 * ["RUNNING"]
    story.ran = []
    assert ctkd("resume", str(only()))[0] == 0
    assert story.ran == []
    assert [trial.state.name for trial in trials(only())] == 2 * ["COMPLETE"]


def test_a_trial_that_fails_is_run_again_by_resume(ctkd: Ctkd, story: Story) -> None:
    story.broken = {"0": RuntimeError("the disk is full")}
    code, _, err = ctkd("run", "-m", *DIGITS, *SPACE, "hydra.sweeper.n_trials=3")
    assert code == 3
    assert "1 of 3 jobs did not end" in err
    assert [trial.state.name for trial in trials(only())] == ["RUNNING", "COMPLETE", "COMPLETE"]
    params = [trial.params for trial in trials(only())]
    story.broken, story.ran = {}, []
    assert ctkd("resume", str(only()))[0] == 0
    assert story.ran == ["0"]
    assert [trial.state.name for trial in trials(only())] == 3 * ["COMPLETE"]
    assert [trial.params for trial in trials(only())] == params


def test_hopeless_trials_are_pruned_between_evaluations(ctkd: Ctkd) -> None:
    """Learning rates that teach nothing follow one that does."""
    rates = "training.learning_rate=choice(1e-9, 1e-2)"
    code, out, err = ctkd(
        "run", "-m", *[o for o in DIGITS if "rate" not in o], "hydra/sweeper=optuna", rates,
        "lambda=interval(0.5, 1)", "training.steps=10", "training.select=best", "seeds=2",
        "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.name=random",
        "hydra.sweeper.pruner.n_startup_trials=2",
    )  # fmt: skip
    assert code == 0, err
    found = trials(only())
    pruned = [trial for trial in found if trial.state.name == "PRUNED"]
    assert pruned
    for trial in pruned:
        job = only() / str(trial.number)
        assert status_of(job)["status"] == "pruned"
        assert "worse than the median" in status_of(job)["reason"]
        assert rows(only())[trial.number]["status"] == "pruned"
        assert not (job / "metrics.json").exists()
        assert 1 <= len(trial.intermediate_values) < 12
    complete = [trial for trial in found if trial.state.name == "COMPLETE"]
    for trial in complete:  # five evaluations and an end, for each of two seeds
        assert len(trial.intermediate_values) == 12
        assert trial.intermediate_values[11] == pytest.approx(trial.value)
    assert "pruned" in out


@pytest.mark.slow
def test_trials_side_by_side(ctkd: Ctkd) -> None:
    code, _, err = ctkd(
        "run", "-m", *DIGITS, *SPACE, "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2",
        "hydra/launcher=joblib",
    )  # fmt: skip
    assert code == 0, err
    assert [trial.state.name for trial in trials(only())] == 3 * ["COMPLETE"]


REFUSED = [
    ([*SPACE, "target.labels_per_class=1", "target.validation_size=0"],
     ["target.validation_size", "never on test", "target.validation_size=1"]),
    (["hydra/sweeper=optuna"], ["nothing to search"]),
    ([*SPACE, "training.stepps=int(interval(1,5))", "seed=interval(0.5,1.5)",
      "hydra.sweeper.sampler.name=tpee", "hydra.sweeper.n_trials=0"],
     ["did you mean steps?", "a whole number", "did you mean tpe?", "n_trials"]),
    ([*SPACE, "training.learning_rate=tag(log, interval(0, 1))"], ["LOW above 0"]),
    ([*SPACE, "hydra.sweeper.trials=3"], ["trials"]),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "said"), REFUSED)
def test_what_is_refused_before_any_training(ctkd: Ctkd, asked: list[str], said: list[str]) -> None:
    code, _, err = ctkd("run", "-m", *DIGITS, *asked)
    assert code == 2, err
    for words in said:
        assert words in err
    assert "++" not in err
    assert not Path("outputs").exists()


def test_without_optuna(ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "find_spec", lambda name: None)
    code, _, err = ctkd("run", "experiment=tune", *DIGITS)
    assert code == 2
    assert 'pip install "ctkd[optuna]"' in err


def test_a_storage_of_ones_own(ctkd: Ctkd, story: Story) -> None:
    asked = ["run", "-m", *DIGITS, *SPACE, "hydra.sweeper.n_trials=2",
             "hydra.sweeper.storage=mine.journal", "hydra.sweeper.study_name=mine"]  # fmt: skip
    assert ctkd(*asked)[0] == 0
    assert optuna.load_study(
        study_name="mine",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend("mine.journal")
        ),
    ).best_value == max(trial.value for trial in trials(only()))
    code, _, err = ctkd(*asked)
    assert code == 2
    assert "study of that name already" in err
    assert len(list(Path("outputs").iterdir())) == 1  # nothing is left of what was refused


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_trials(ctkd: Ctkd, tmp_path: Path) -> None:
    few = ["hydra.sweeper.n_trials=6", f"{SAMPLER}.n_startup_trials=3"]
    asked = ["run", "-m", *DIGITS, *SPACE, *few, "hydra.sweep.dir=outputs/one"]
    assert ctkd(*asked)[0] == 0
    unbroken = [trial.params for trial in trials(only())]
    only().rename("unbroken")
    environment = {**os.environ, "CTKD_CACHE": str(tmp_path / "other")}
    command = [sys.executable, "-m", "ctkd_cli"]
    for seconds in (6.0, 7.0, 8.0, 9.0, 10.0):
        begun = Path("outputs/one/sweep.yaml").exists()
        words = ["resume", "outputs/one"] if begun else asked
        process = subprocess.Popen(
            [*command, *words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, "resume", "outputs/one"], env=environment, check=True)
    assert [trial.params for trial in trials(only())] == unbroken
    assert all(trial.state.name == "COMPLETE" for trial in trials(only()))
