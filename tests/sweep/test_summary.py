"""A sweep's table, from the files of its jobs."""

from __future__ import annotations

import csv
import html
import io
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made import asked, job, scored
from rich.console import Console

from ctkd_cli.reports import sweep_table
from ctkd_cli.reports.sweep_summary import summarise
from ctkd_cli.sweep import shapes
from ctkd_cli.sweep.directory import Sweep
from ctkd_cli.sweep.job import shortened
from ctkd_cli.sweep.watch import Watch


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_per_job_in_the_order_of_their_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (10, 2, 0):
        job(tmp_path, number, [f"lambda={number}", "seed=1"], (0.5, 0.6))
    assert summarise(tmp_path) == []
    found = rows(tmp_path)
    assert [row["job"] for row in found] == ["0", "2", "10"]
    assert [row["lambda"] for row in found] == ["0", "2", "10"]
    assert float(found[0]["gain/macro_f1"]) == pytest.approx(0.1)
    capsys.readouterr()


def test_means_and_the_paired_interval_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gains .1, .2, .3: mean .2, sd .1, t(.975, 2) = 4.3027, so .2 -+ 4.3027 * .1 / sqrt(3)."""
    for number, distilled in enumerate((0.6, 0.7, 0.8)):
        job(tmp_path, number, ["lambda=1", f"seed={number}"], (0.5, distilled))
    job(tmp_path, 3, ["lambda=2", "seed=0"], (0.5, 0.4))
    summarise(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "lambda=1 3 0.500 0.700 +0.200 (-0.048 to +0.448)" in out
    assert "lambda=2 1 0.500 0.400 -0.100" in out  # one seed: no interval


def test_settings_that_all_jobs_share_are_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, loss in enumerate(("kl", "hint")):
        job(tmp_path, number, ["experiment=smoke", f"loss={loss}"], (0.5, 0.6))
    summarise(tmp_path)
    out = capsys.readouterr().out
    assert "loss=kl" in out
    assert "experiment=smoke" not in out


def test_failed_jobs_are_returned_and_listed_with_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path, 0, ["seed=1"], (0.5, 0.6))
    job(tmp_path, 1, ["seed=2"], None, reason="the loss became \x1b[31mNaN")
    failed = summarise(tmp_path)
    assert [(job.name, job.reason) for job in failed] == [("1", "the loss became \x1b[31mNaN")]
    out = capsys.readouterr().out
    assert "job 1 failed: the loss became" in out
    assert "\x1b" not in out
    assert [(row["status"], row["reason"]) for row in rows(tmp_path)] == [
        ("complete", ""), ("failed", "the loss became \x1b[31mNaN"),
    ]  # fmt: skip


def test_overrides_with_an_equals_sign_in_their_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path, 0, ["+bridge.map={a: b}", "name='a=b'"], (0.5, 0.6))
    summarise(tmp_path)
    assert rows(tmp_path)[0]["name"] == "'a=b'"
    assert rows(tmp_path)[0]["bridge.map"] == "{a: b}"
    capsys.readouterr()


def test_a_sweep_without_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summarise(tmp_path) == []
    assert rows(tmp_path) == []
    assert (tmp_path / "sweep.html").exists()
    capsys.readouterr()


def test_a_label_curve_tells_what_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone .5 .7 .9 with 4, 16 and 64 labels per class; distilled .8 with 4, for which alone
    needs 32."""
    for number, (given, spent, alone) in enumerate(
        [("4", 8, 0.5), ("16", 32, 0.7), ("null", 128, 0.9)]
    ):
        typed = ["experiment=label_curve", f"target.labels_per_class={given}"]
        scored(tmp_path, number, typed, [alone, alone], [0.8, 0.8], labels=spent)
    summarise(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "4 labels per class, distilled: macro-F1 0.800; alone needs 32" in out
    assert "8.0 times as many" in out
    page = (tmp_path / "sweep.html").read_text()
    assert "Labels saved" in page
    assert 'href="0/report.html"' in page
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_number_that_is_swept_over_has_a_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, value in enumerate(("1", "0", "0.3")):
        scored(tmp_path, number, [f"lambda={value}"], [0.5, 0.6], [0.6, 0.7 + number / 100])
    (found,) = shapes.curves(Sweep(tmp_path))
    assert (found.axis, found.at, found.saved) == ("lambda", (0.0, 0.3, 1.0), ())
    assert found.scores["distilled"] == {1: [0.6, 0.6, 0.6], 2: [0.71, 0.72, 0.7]}
    summarise(tmp_path)
    assert "Labels saved" not in (tmp_path / "sweep.html").read_text()
    capsys.readouterr()


def test_names_have_no_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, loss in enumerate(("kl", "hint", "sp")):
        scored(tmp_path, number, [f"loss={loss}"], [0.5], [0.6])
    summarise(tmp_path)
    assert shapes.curves(Sweep(tmp_path)) == []
    assert list(tmp_path.glob("*.png")) == []
    capsys.readouterr()


def test_the_page_is_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored(tmp_path, 0, ["name=<script>alert(1)</script>"], [0.5], [0.6])
    scored(tmp_path, 1, ["name=b"], [0.5], [0.6])
    job(tmp_path, 2, ["name=c"], None, reason="<img src=x onerror=alert(1)>")
    summarise(tmp_path)
    page = (tmp_path / "sweep.html").read_text()
    assert page.count("<script") == 1  # our own
    assert "alert(1)</script" not in page
    assert "<img src=x" not in page
    capsys.readouterr()


def test_validation_chooses_and_test_is_told_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """lambda=2 has the better test figures, lambda=1 the better validation: (.7 + .9) / 2 = .8
    against (.6 + .8) / 2 = .7. Its gains .1 and .3: t(.975, 1) = 12.706, cut at 1."""
    for number, (value, seed, test, validation) in enumerate(
        [(1, 1, 0.6, 0.7), (1, 2, 0.8, 0.9), (2, 1, 0.9, 0.6), (2, 2, 0.9, 0.8)]
    ):
        typed = [f"lambda={value}", f"seed={seed}"]
        job(tmp_path, number, typed, (0.5, test), validation=validation)
    summarise(tmp_path)
    found = Sweep(tmp_path)
    assert found.best is not None
    assert found.best.name == "lambda=1"
    assert found.unseen(found.best) == pytest.approx(0.8)
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "Chosen by validation among 2 settings: lambda=1. Macro-F1 0.800 on validation, macro-F1 "
        "0.700 on test; gain over the best control on test +0.200 (95% interval -1.000 to +1.000)."
    ) in out
    assert "best of 2 is in part luck" in out
    assert 'class="main"><td class="settings">lambda=1' in (tmp_path / "sweep.html").read_text()
    assert [float(row["distilled/validation_macro_f1"]) for row in rows(tmp_path)] == [
        0.7, 0.9, 0.6, 0.8
    ]  # fmt: skip


def test_labels_left_out_choose_before_a_small_validation_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where each job has a log-likelihood of labels that were left out: -0.4 is more than -0.6."""
    job(tmp_path, 0, ["lambda=1"], (0.5, 0.7), validation=0.9, likelihood=-0.6)
    job(tmp_path, 1, ["lambda=2"], (0.5, 0.8), validation=0.7, likelihood=-0.4)
    summarise(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "Chosen by left-out labels among 2 settings: lambda=2. Log-likelihood -0.400 on left-out "
        "labels, macro-F1 0.800 on test"
    ) in out
    assert "log-likelihood</button>" in (tmp_path / "sweep.html").read_text()
    column = "distilled/cross_validated_log_likelihood"
    assert [float(row[column]) for row in rows(tmp_path)] == [-0.6, -0.4]
    job(tmp_path, 2, ["lambda=3"], (0.5, 0.8), validation=0.8)  # has none: validation must do
    summarise(tmp_path)
    assert "Chosen by validation among 3 settings: lambda=1." in capsys.readouterr().out


@pytest.mark.parametrize("first", [None, 0.7])
def test_without_validation_nothing_is_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: float | None
) -> None:
    job(tmp_path, 0, ["lambda=1"], (0.5, 0.6), validation=first)
    job(tmp_path, 1, ["lambda=2"], (0.5, 0.9))
    summarise(tmp_path)
    assert Sweep(tmp_path).best is None
    out = " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "sweep.html").read_text()
    for told in (out, page):
        assert "No settings are chosen" in told
        assert "target.validation_size=N" in told
        assert "Chosen by" not in told
    assert ("these runs have no validation" if first is None else "not all runs have") in out
    assert 'class="main"' not in page


def test_settings_as_good_on_validation_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        job(tmp_path, number, [f"lambda={number}"], (0.5, 0.6), validation=min(0.8, 0.7 + number))
    summarise(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "among 3 settings (tied with 1 more): lambda=1." in out


def test_jobs_that_never_began_and_those_that_were_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(tmp_path, [["seed=1"], ["seed=2"], ["seed=3", "name=it's", "hydra.x=1"]], ["seed=1,2,3"])
    job(tmp_path, 0, ["seed=1"], (0.5, 0.6))
    dead = subprocess.Popen(["true"])
    dead.wait()
    job(tmp_path, 1, ["seed=2"], None, status="running", pid=dead.pid, host=socket.gethostname())
    failed = summarise(tmp_path)
    assert [(each.name, each.status) for each in failed] == [("1", "killed"), ("2", "not begun")]
    assert f"process {dead.pid} is gone" in failed[0].reason
    assert [row["status"] for row in rows(tmp_path)] == ["complete", "killed", "not begun"]
    page = html.unescape((tmp_path / "sweep.html").read_text())
    assert "hydra.x" not in page
    assert shlex.join(["ctkd", "run", "seed=3", "name=it's"]) in page
    assert shlex.join(["ctkd", "resume", str(tmp_path)]) in page
    out = capsys.readouterr().out
    assert "job 1 killed: process" in out
    assert "again: ctkd run seed=2" in out
    assert "1 of 3 jobs were stopped or not begun" in out
    assert f"finish: ctkd resume {tmp_path}" in out


def test_folders_that_the_user_has_named_are_matched_with_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(tmp_path, [["seed=1"], ["seed=2"]])
    job(tmp_path, 0, ["seed=1"], (0.5, 0.6))
    (tmp_path / "0").rename(tmp_path / "first")
    assert summarise(tmp_path) == []
    assert [row["job"] for row in rows(tmp_path)] == ["first"]
    capsys.readouterr()


@pytest.mark.parametrize("content", ["- 1", "5", "a: [", "jobs: null"])
def test_damaged_files_of_a_sweep_stop_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    job(tmp_path, 0, ["seed=1"], (0.5, 0.6))
    job(tmp_path, 1, ["seed=2"], (0.5, 0.6))
    (tmp_path / "sweep.yaml").write_text(content)
    (tmp_path / "0" / "overrides.yaml").write_text(content)
    (tmp_path / "1" / "metrics.json").write_text("{")
    (failed,) = summarise(tmp_path)
    assert (failed.name, failed.status) == ("1", "damaged")
    assert Watch(tmp_path, None).look()[0].status == "complete"
    capsys.readouterr()


def test_what_a_spreadsheet_would_run_is_text_in_the_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["name==1+1", "lambda=-0.5", "note=@cmd", "+more=-x", "last=1e-5"]
    job(tmp_path, 0, typed, None, reason="=HYPERLINK(1)")
    summarise(tmp_path)
    (row,) = rows(tmp_path)
    assert row["name"] == "'=1+1"
    assert row["note"] == "'@cmd"
    assert row["more"] == "'-x"
    assert row["reason"] == "'=HYPERLINK(1)"
    assert (row["lambda"], row["last"]) == ("-0.5", "1e-5")
    capsys.readouterr()


@pytest.mark.parametrize(("width", "fits"), [(80, "learning_rate=0.001"), (140, "loss=kl lambda")])
def test_the_table_breaks_no_setting(tmp_path: Path, width: int, fits: str) -> None:
    for number, rate in enumerate((0.001, 0.01)):
        for other, loss in enumerate(("probe_kl", "kl")):
            typed = [f"loss={loss}", f"lambda={number}", f"teacher.training.learning_rate={rate}"]
            job(tmp_path, 2 * number + other, typed, (0.5, 0.6), validation=0.7)
    stream = io.StringIO()
    sweep_table.show(Sweep(tmp_path), Console(file=stream, width=width))
    lines = stream.getvalue().splitlines()
    assert any(line.strip().startswith(fits) for line in lines)
    assert all(len(line) <= width for line in lines if "/sweep." not in line)


def test_short_names_are_told_apart() -> None:
    keys = ["teacher.training.steps", "training.steps", "loss.temperature", "lambda"]
    assert list(shortened(keys).values()) == [
        "teacher.training.steps", "training.steps", "temperature", "lambda"
    ]  # fmt: skip


def test_two_hundred_jobs_are_soon_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """100 settings with two seeds each, with every picture."""
    grid = [(loss, power, steps) for loss in ("kl", "hint", "sp", "pkt") for power in range(5)
            for steps in range(5)]  # fmt: skip
    for number, (loss, power, steps) in enumerate(grid):
        for seed in (1, 2):
            typed = [f"loss={loss}", f"lambda={10**-power}", f"training.steps={50 + steps}"]
            score = 0.5 + number / 1000 + seed / 100
            scored(
                tmp_path, 2 * number + seed - 1, [*typed, f"seed={seed}"], [0.5], [score],
                validation=score, seed=seed,
            )  # fmt: skip
    began = time.monotonic()
    summarise(tmp_path)
    assert time.monotonic() - began < 20  # seconds; 3 on a quiet machine
    page = (tmp_path / "sweep.html").read_text()
    assert len(page) < 1_000_000
    assert page.count("/report.html") == 200
    names = {"curve_lambda.png", "curve_training_steps.png", "parallel.png"}
    assert {path.name for path in tmp_path.glob("*.png")} == names
    assert len(capsys.readouterr().out.splitlines()) < 120


def test_an_experiment_may_name_what_it_runs_over(
    ctkd: Callable[..., tuple[int, str, str]], tiny_run: list[str]
) -> None:
    """Without -m, and not where the user has set the key."""
    free = [o for o in tiny_run if not o.startswith("target.labels_per_class")]
    code, out, err = ctkd("run", *free, "experiment=label_curve", "seeds=2", "training.steps=2")
    assert code == 0, err
    (directory,) = Path("outputs").iterdir()
    found = Sweep(directory)
    given = [job.settings["target.labels_per_class"] for job in found.jobs]
    assert given == ["4", "8", "16", "32", "64", "128", "null"]
    assert all(set(job.of_seeds("alone")) == {1, 2} for job in found.jobs)
    assert "labels per class, distilled" in out
    assert ctkd("run", *tiny_run, "experiment=label_curve", "seeds=1", "training.steps=2")[0] == 0
    single = max(Path("outputs").iterdir(), key=lambda path: path.stat().st_mtime)
    assert (single / "report.html").exists()


def test_a_sweeps_reports_can_be_rebuilt(
    ctkd: Callable[..., tuple[int, str, str]],
    tiny_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as where no search was installed
    assert ctkd("run", "-m", *tiny_run, "lambda=0,1,2", "training.steps=2")[0] == 0
    (directory,) = Path("outputs").iterdir()
    made = ["sweep.csv", "sweep.html", "curve.png", "0/report.html", "1/metrics.json"]
    before = {name: (directory / name).read_bytes() for name in made}
    for name in made:
        (directory / name).unlink()
    code, out, err = ctkd("report", str(directory))
    assert code == 0, err
    assert "lambda=2" in out
    assert (directory / "sweep.csv").read_bytes() == before["sweep.csv"]
    assert (directory / "1/metrics.json").read_bytes() == before["1/metrics.json"]
    assert all((directory / name).exists() for name in made)
