"""`hydra/sweeper=optuna`, as a user would: trials, pruning, going on, and what was found."""

from __future__ import annotations

import csv
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from ctkd_cli import search
from ctkd_cli.rundir import status_of
from ctkd_cli.search.findings import study_of

Ctkd = Callable[..., tuple[int, str, str]]
DIGITS = [
    "source=digits_low", "target=digits_high", "teacher=convnet", "student=convnet",
    "source.limit=60", "target.limit=120", "teacher.training.steps=4", "training.steps=4",
    "training.learning_rate=3e-3", "target.validation_size=10",
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
    assert f"Best by validation: trial {best.number}, " in out
    assert f"validation macro-F1 {best.value:.3f}, test " in out
    assert (directory / "search_history.png").exists()
    assert "best so far" in (directory / "sweep.html").read_text()
    command = shlex.split(out.splitlines()[-1])
    assert command[:2] == ["ctkd", "run"]
    assert command[-3:] == ["seed=2", "seeds=5", "controls=full"]
    again = [word for word in command[1:] if word not in ("seeds=5", "controls=full")]
    code, _, err = ctkd(*again)
    assert code == 0, err
    assert len(list(Path("outputs").iterdir())) == 2


def test_an_interrupted_study_goes_on_as_if_it_had_not_been(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in its second trial: none is lost or repeated."""
    from ctkd_cli import run as story

    asked = [
        "run",
        "-m",
        *DIGITS,
        *SPACE,
        "hydra.sweeper.n_trials=3",
        f"{SAMPLER}.n_startup_trials=1",
    ]
    assert ctkd(*asked)[0] == 0
    unbroken = [trial.params for trial in trials(only())]
    only().rename("unbroken")

    ran = story.run

    def stopped(experiment: Any, directory: Path, overrides: Any) -> Any:
        if directory.name == "1":
            raise KeyboardInterrupt
        return ran(experiment, directory, overrides)

    monkeypatch.setattr(story, "run", stopped)
    assert ctkd(*asked)[0] == 130
    assert [trial.state.name for trial in trials(only())] == ["COMPLETE", "RUNNING"]
    monkeypatch.setattr(story, "run", ran)
    before = (only() / "0" / "metrics.json").stat().st_mtime_ns
    code, out, err = ctkd("resume", str(only()))
    assert code == 0, err
    assert [trial.params for trial in trials(only())] == unbroken
    assert all(trial.state.name == "COMPLETE" for trial in trials(only()))
    assert (only() / "0" / "metrics.json").stat().st_mtime_ns == before
    assert "Best by validation" in out
    assert len({(p["lambda"], p["loss"]) for p in unbroken}) == 3


def test_a_trial_that_fails_is_run_again_by_resume(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctkd_cli import run as story

    ran = story.run

    def fails(experiment: Any, directory: Path, overrides: Any) -> Any:
        if directory.name == "0":
            raise RuntimeError("the disk is full")
        return ran(experiment, directory, overrides)

    monkeypatch.setattr(story, "run", fails)
    code, _, err = ctkd("run", "-m", *DIGITS, *SPACE, "hydra.sweeper.n_trials=2")
    assert code == 3
    assert "1 of 2 jobs did not end" in err
    params = trials(only())[0].params
    monkeypatch.setattr(story, "run", ran)
    assert ctkd("resume", str(only()))[0] == 0
    assert [trial.state.name for trial in trials(only())] == ["COMPLETE", "COMPLETE"]
    assert trials(only())[0].params == params


def test_hopeless_trials_are_pruned_between_evaluations(ctkd: Ctkd) -> None:
    """Learning rates that teach nothing follow one that does."""
    rates = "training.learning_rate=choice(1e-9, 1e-2)"
    code, out, err = ctkd(
        "run", "-m", *[o for o in DIGITS if "rate" not in o], "hydra/sweeper=optuna", rates,
        "lambda=interval(0.5, 1)", "training.steps=30", "training.select=best", "seeds=2",
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
        assert "below the median" in status_of(job)["reason"]
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
    ([*SPACE, "target.labels_per_class=4", "target.validation_size=0"],
     ["target.validation_size", "never on test", "target.validation_size=8"]),
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


def test_a_storage_of_ones_own(ctkd: Ctkd) -> None:
    asked = ["run", "-m", *DIGITS, *SPACE, "hydra.sweeper.n_trials=1",
             "hydra.sweeper.storage=mine.journal", "hydra.sweeper.study_name=mine"]  # fmt: skip
    assert ctkd(*asked)[0] == 0
    assert Path("mine.journal").exists()
    code, _, err = ctkd(*asked)
    assert code == 2
    assert "study of that name already" in err


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_trials(ctkd: Ctkd, tmp_path: Path) -> None:
    asked = [
        "run",
        "-m",
        *DIGITS,
        *SPACE,
        "hydra.sweeper.n_trials=6",
        f"{SAMPLER}.n_startup_trials=3",
    ]
    assert ctkd(*asked)[0] == 0
    unbroken = [trial.params for trial in trials(only())]
    only().rename("unbroken")
    environment = {**os.environ, "CTKD_CACHE": str(tmp_path / "other")}
    command = [sys.executable, "-m", "ctkd_cli"]
    for seconds in (6.0, 7.0, 8.0, 9.0, 10.0):
        begun = any(Path("outputs").glob("*/optuna.journal"))
        words = ["resume", str(only())] if begun else asked
        process = subprocess.Popen(
            [*command, *words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, "resume", str(only())], env=environment, check=True)
    assert [trial.params for trial in trials(only())] == unbroken
    assert all(trial.state.name == "COMPLETE" for trial in trials(only()))
