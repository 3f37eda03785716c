"""`ctkd run` and its directories, up to the run itself: that one is played by a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from ctkd_cli.errors import InputError, Problem, RunFailed
from ctkd_cli.experiment import Experiment
from ctkd_cli.preflight.checks import Checked
from ctkd_cli.settings import config_files

Ctkd = Callable[..., tuple[int, str, str]]
DIGITS = "experiment=digits"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Experiment]]:
    """Leaves what a run leaves, in no time. lambda=13 is refused, 14 fails, 15 is interrupted."""
    import ctkd_cli.reports
    import ctkd_cli.run

    began: list[tuple[Path, Experiment]] = []

    def run(
        checked: Checked,
        directory: Path,
        overrides: Sequence[str],
        listener: object = None,
        among: bool = False,
    ) -> dict[str, float]:
        experiment = checked.experiment
        began.append((directory, experiment))
        if experiment.lambda_ == 13:
            raise InputError(Problem("thirteen", where="lambda"))
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
        status = {14: "failed", 15: "interrupted"}.get(int(experiment.lambda_), "complete")
        (directory / "status.json").write_text(json.dumps({"status": status, "reason": "why"}))
        if status == "failed":
            raise RunFailed("fourteen")
        if status == "interrupted":
            raise KeyboardInterrupt
        names = ("alone/macro_f1", "distilled/macro_f1", "gain/macro_f1", "distilled/accuracy")
        metrics = dict.fromkeys(names, 0.5)
        (directory / "metrics.json").write_text(json.dumps(metrics))
        return metrics

    monkeypatch.setattr(ctkd_cli.run, "run", run)
    monkeypatch.setattr(ctkd_cli.reports, "print_summary", lambda *given, **more: None)
    monkeypatch.setenv(config_files.CONFIG_DIR_VARIABLE, "")
    monkeypatch.delenv("CTKD_OUTPUTS", raising=False)
    return began


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_run_gets_a_new_directory_named_by_time_and_name(
    ctkd: Ctkd, tmp_path: Path, stand_in: list[tuple[Path, Experiment]]
) -> None:
    assert ctkd("run", DIGITS, "lambda=0.5") == (0, "", "")
    (made,) = (tmp_path / "outputs").iterdir()
    assert made.name.endswith("_digits")
    ((directory, experiment),) = stand_in
    assert directory == made
    assert experiment.lambda_ == 0.5
    assert yaml.safe_load((made / "overrides.yaml").read_text()) == [DIGITS, "lambda=0.5"]
    assert everything(made) == {"overrides.yaml", "status.json", "metrics.json"}  # Hydra left none


def test_the_outputs_folder_can_be_elsewhere(
    ctkd: Ctkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_OUTPUTS", str(tmp_path / "else where" / "deep"))
    assert ctkd("run", DIGITS)[0] == 0
    assert not (tmp_path / "outputs").exists()
    assert len(list((tmp_path / "else where" / "deep").iterdir())) == 1


@pytest.mark.parametrize(
    "given", ["there", "'the re'", '"it\'s"', "there/deeper", "'${name}'", "üö"]
)
def test_a_directory_of_the_users_is_used_and_never_written_over(
    ctkd: Ctkd, tmp_path: Path, given: str
) -> None:
    assert ctkd("run", DIGITS, f"hydra.run.dir={given}")[0] == 0
    assert not (tmp_path / "outputs").exists()
    (status,) = tmp_path.rglob("status.json")
    status.write_text("mine")
    code, _, err = ctkd("run", DIGITS, f"hydra.run.dir={given}")
    assert code == 2
    assert "nothing is written over" in err
    assert status.read_text() == "mine"


def test_a_folder_that_is_a_file(ctkd: Ctkd, tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    code, _, err = ctkd("run", DIGITS)
    assert code == 2
    assert "outputs" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["lambda=-1"],
        ["lamda=1", "seed=x"],
        ["source=nope"],
        ["-m", "seed=1,2", "lambda=1,-1"],
        ["-m", "loss=kl,kll"],
        ["--nope"],
        ["--run"],
        ["--config-path", "x"],
        ["--experimental-rerun", "x"],
        ["--resolve"],
    ],
)
def test_a_refused_command_starts_and_leaves_nothing(
    ctkd: Ctkd, tmp_path: Path, stand_in: list[object], arguments: list[str]
) -> None:
    code, out, err = ctkd("run", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert stand_in == []
    assert everything(tmp_path) == set()


def test_a_run_refused_by_its_data_leaves_no_empty_directory(ctkd: Ctkd, tmp_path: Path) -> None:
    code, _, err = ctkd("run", DIGITS, "lambda=13")
    assert (code, err) == (2, "error: thirteen\n  where:   lambda\n")  # no line of Hydra's
    assert everything(tmp_path) == set()


def test_a_directory_of_the_users_is_never_removed(ctkd: Ctkd, tmp_path: Path) -> None:
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    assert ctkd("run", DIGITS, "lambda=13", "hydra.run.dir=mine/empty")[0] == 2
    assert everything(tmp_path) == {"mine", "mine/empty"}


def test_a_failed_run_keeps_its_directory(ctkd: Ctkd, tmp_path: Path) -> None:
    assert ctkd("run", DIGITS, "lambda=14") == (1, "", "error: fourteen\n")
    assert len(list(tmp_path.glob("outputs/*/status.json"))) == 1


def test_an_interrupted_run_is_exit_130(ctkd: Ctkd) -> None:
    assert ctkd("run", DIGITS, "lambda=15") == (130, "", "")


def test_a_sweep_has_a_folder_per_job_and_says_nothing_of_hydras(
    ctkd: Ctkd, tmp_path: Path, stand_in: list[tuple[Path, Experiment]]
) -> None:
    code, out, err = ctkd("run", "-m", DIGITS, "lambda=0,1", "seed=1,2")
    assert code == 0
    assert [line.split(" in ")[0] for line in err.splitlines()[:2]] == [
        "job 0 begins: lambda=0 seed=1", "job 0 complete"
    ]  # fmt: skip
    assert len(err.splitlines()) == 2 * 4 + 1  # and nothing else
    assert "HYDRA" not in out
    (sweep,) = (tmp_path / "outputs").iterdir()
    assert [directory for directory, _ in stand_in] == [sweep / str(n) for n in range(4)]
    assert [(e.lambda_, e.seed) for _, e in stand_in] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert (sweep / "sweep.csv").is_file()
    assert not list(sweep.rglob(".hydra"))


def test_jobs_that_are_refused_or_fail_stop_no_other(
    ctkd: Ctkd, tmp_path: Path, stand_in: list[object]
) -> None:
    code, out, err = ctkd("run", "-m", DIGITS, "lambda=13,1,14,2")
    assert code == 3
    assert len(stand_in) == 4
    lines = next(tmp_path.glob("outputs/*/sweep.csv")).read_text().splitlines()
    statuses = [line.split(",")[1] for line in lines if line[:1].isdigit()]
    assert statuses == ["failed", "complete", "failed", "complete"]
    assert "job 0 failed: thirteen" in out
    assert "2 of 4 jobs" in err


def test_a_sweep_that_is_stopped_still_has_its_table(ctkd: Ctkd, tmp_path: Path) -> None:
    code, out, err = ctkd("run", "-m", DIGITS, "lambda=1,15,2")
    (sweep,) = (tmp_path / "outputs").iterdir()
    assert code == 130
    assert "job 1 interrupted" in err
    assert "1 waiting" in err
    assert f"ctkd resume outputs/{sweep.name}\n" in err
    assert "2 of 3 jobs were stopped or not begun" in out
    (table,) = tmp_path.glob("outputs/*/sweep.csv")
    statuses = [line.split(",")[1] for line in table.read_text().splitlines()[1:]]
    assert statuses == ["complete", "interrupted", "not begun"]


def test_a_sweep_is_never_written_over(ctkd: Ctkd, tmp_path: Path, stand_in: list[object]) -> None:
    given = ("run", "-m", DIGITS, "seed=1,2", "hydra.sweep.dir=there")
    assert ctkd(*given)[0] == 0
    assert (tmp_path / "there" / "1" / "status.json").is_file()
    assert ctkd(*given)[0] == 2
    assert len(stand_in) == 2


def test_processes_that_begin_together_share_no_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ctkd_cli.cli._directories import claim;"
        "print(claim(Path(sys.argv[1]), 'x'))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    claimed = {process.communicate(timeout=60)[0] for process in processes}
    assert len(claimed) == len(list(tmp_path.iterdir())) == 6


def test_cfg_shows_the_composition(ctkd: Ctkd, tmp_path: Path) -> None:
    code, out, _ = ctkd("run", "--cfg", "job", DIGITS, "lambda=0.5")
    assert code == 0
    shown = yaml.safe_load(out)
    assert (shown["lambda"], shown["teacher"]["backbone"]) == (0.5, "convnet")
    assert everything(tmp_path) == set()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ctkd run sched", {"schedule.", "schedule="}),
        ("ctkd run sour", {"source.", "source="}),
        ("ctkd run loss=hint schedule=co", {"schedule=constant", "schedule=cosine"}),
        ("ctkd check lamb", {"lambda="}),
        ("ctkd ru", set()),
    ],
)
def test_tab_completion(line: str, words: set[str]) -> None:
    """As Hydra's script calls it: `eval "$(ctkd run --shell-completion install=bash)"`."""
    done = subprocess.run(
        [sys.executable, "-m", "ctkd_cli", "-sc", "query=bash"],
        env={**os.environ, "COMP_LINE": line}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == words


def test_the_completion_script_is_for_ctkd(ctkd: Ctkd) -> None:
    code, out, _ = ctkd("run", "--shell-completion", "install=bash")
    assert code == 0
    assert out.rstrip().endswith("-F hydra_bash_completion ctkd")


@pytest.mark.parametrize("name", ["a\\b", "a\\", "it's", "a\\'b", "a b", "ü,[]{}=:"])
def test_odd_folders_of_outputs(
    ctkd: Ctkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
    stand_in: list[tuple[Path, Experiment]],
) -> None:  # fmt: skip
    """A run and a sweep land where they were told to."""
    folder = tmp_path / name
    monkeypatch.setenv("CTKD_OUTPUTS", str(folder))
    assert ctkd("run", DIGITS)[0] == 0
    assert ctkd("run", "-m", DIGITS, "lambda=0,1")[0] == 0
    assert {entry.name for entry in tmp_path.iterdir()} == {name}
    run, first, second = (directory for directory, _ in stand_in)
    assert run.parent == first.parent.parent == second.parent.parent == folder


@pytest.mark.parametrize("name", ["x${y}", "caf\udce9"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_that_settings_cannot_name_is_refused_at_once(
    ctkd: Ctkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, inside: bool,
    stand_in: list[object],
) -> None:  # fmt: skip
    (tmp_path / name).mkdir()
    if inside:
        monkeypatch.chdir(tmp_path / name)
    else:
        monkeypatch.setenv("CTKD_OUTPUTS", str(tmp_path / name))
    for more in ([], ["-m", "lambda=0,1"], ["hydra.run.dir=here"] if inside else []):
        code, _, err = ctkd("run", DIGITS, *more)
        assert code == 2
        assert "runs cannot be kept in a folder of this name" in err
    assert stand_in == []
    assert not list((tmp_path / name).iterdir())
    monkeypatch.setenv("CTKD_OUTPUTS", str(tmp_path / "other"))  # what the message advises
    assert ctkd("run", DIGITS)[0] == 0
