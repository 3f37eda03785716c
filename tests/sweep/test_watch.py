"""Where jobs are while a sweep runs: what they write, what is read of it, what is shown."""

from __future__ import annotations

import io
import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml
from made import job
from rich.console import Console

from ctkd_cli.arms import encoded_task
from ctkd_cli.errors import RunFailed
from ctkd_cli.runs import rundir
from ctkd_cli.runs.console import SilentDisplay
from ctkd_cli.runs.rundir import RunDirectory, status_of
from ctkd_cli.sweep import display
from ctkd_cli.sweep.watch import Watch

Ctkd = Callable[..., tuple[int, str, str]]
HERE = {"host": socket.gethostname(), "pid": os.getpid()}
ELSEWHERE = {"host": "another", "pid": 1}


def running(folder: Path, number: int, overrides: list[str], **progress: Any) -> None:
    """A job that is at work in some process."""
    directory = folder / str(number)
    directory.mkdir(exist_ok=True)
    (directory / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    of = {"status": "running", **ELSEWHERE, "stages": {}, "seconds": 1.0}
    write(directory, {**of, **progress})


def write(directory: Path, status: Mapping[str, Any]) -> None:
    (directory / "status.json").write_text(json.dumps(status))


def at(stage: str, done: int, total: int, left: float | None) -> dict[str, Any]:
    return {"stage": stage, "done": done, "total": total, "left": left, "figures": {"loss": 0.5}}


def test_a_job_tells_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3 of 4 steps in 6 seconds leave 2; with two seeds 5 of 8 steps in 10 seconds leave 6."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run = RunDirectory(tmp_path / "run", SilentDisplay())
    assert "progress" not in status_of(run.path)
    with run.stage("student", "alone") as stage:
        found = status_of(run.path)["progress"]
        assert found == {
            "stage": "student alone", "done": 0, "total": 0, "left": None, "figures": {}
        }  # fmt: skip
        now += 6
        stage.progress(3, 4, loss=0.123456, ce=1.0)
        assert status_of(run.path)["progress"] == {
            "stage": "student alone", "done": 3, "total": 4, "left": 2.0,
            "figures": {"loss": 0.1235, "ce": 1.0},
        }  # fmt: skip
        now += 0.5
        stage.progress(4, 4)  # too soon to be written
        assert status_of(run.path)["progress"]["done"] == 3
    assert "progress" not in status_of(run.path)
    run.note("something")
    run.finish("failed", "because")
    last = status_of(run.path)
    assert (last["status"], last["reason"], last["notes"]) == ("failed", "because", ["something"])
    assert last["stages"] == {"student alone": 6.5}


def test_time_left_goes_over_all_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run = RunDirectory(tmp_path / "run", SilentDisplay())
    for position in range(2):
        with run.seed_run(rundir.SeedRun(seed=position, position=position, of=2)):
            for arm in ("alone", "distilled"):
                with run.stage("student", arm) as stage:
                    now += 2 if arm == "alone" else 4
                    stage.progress(4, 4)
                    if (position, arm) == (1, "alone"):
                        found = status_of(run.path)["progress"]
    assert (found["done"], found["total"]) == (8, 8)
    assert found["left"] == 4.0  # distilled has had one of its two seeds


def test_progress_costs_next_to_nothing(tmp_path: Path) -> None:
    """Well under 1 % of a loop with steps of 10 ms: 100 steps and one word of it each second."""
    run = RunDirectory(tmp_path / "run", SilentDisplay())
    with run.stage("student", "alone") as stage:
        began = time.perf_counter()
        for step in range(20_000):
            stage.progress(step, 20_000, loss=0.5)
        each = (time.perf_counter() - began) / 20_000
        began = time.perf_counter()
        for _ in range(100):
            run._write_status("running")
        word = (time.perf_counter() - began) / 100
    assert 100 * each + word < 0.01


def test_what_is_seen(tmp_path: Path) -> None:
    """Stages that a job has not come to count as in jobs that are complete: 5 + 7 seconds."""
    jobs = [[f"lambda={n}", "x.y=same"] for n in range(5)]
    watch = Watch(tmp_path, jobs)
    job(tmp_path, 0, jobs[0], (0.5, 0.6), seconds=20.0, stages={"teacher": 8, "end": 7, "a": 5})
    running(tmp_path, 1, jobs[1], stages={"teacher": 1.0}, progress=at("a", 1, 4, 9.0))
    running(tmp_path, 2, jobs[2], stages={"teacher": 1.0}, progress=at("a", 0, 0, None))
    job(tmp_path, 3, jobs[3], None, reason="no")
    seen = watch.look()
    assert [(each.name, each.status) for each in seen] == [
        ("0", "complete"), ("1", "running"), ("2", "running"), ("3", "failed"),
    ]  # fmt: skip
    assert [each.left for each in seen] == [None, 9.0 + 7.0, 5.0 + 7.0, None]
    assert [watch.name(each) for each in seen] == [f"lambda={n}" for n in range(4)]
    assert seen[0].metrics["distilled/macro_f1"] == 0.6
    line = display.headline(seen, watch.n_jobs, 75)
    # (16 + 12 + one waiting job of 20 seconds) / two at a time
    assert line == "5 jobs: 1 complete, 2 running, 1 failed, 1 waiting; 1:15, about 0:24 left"


def test_without_a_complete_job_the_rest_is_at_least_so_much(tmp_path: Path) -> None:
    watch = Watch(tmp_path, None)
    running(tmp_path, 0, ["lambda=1"], progress=at("a", 1, 4, 9.0))
    (seen,) = watch.look()
    assert (seen.left, seen.at_least) == (9.0, True)
    assert display.headline([seen], watch.n_jobs, 5) == "jobs: 1 running; 0:05"


def test_a_killed_job_does_not_look_alive(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    watch = Watch(tmp_path, None)
    running(tmp_path, 0, [], host=HERE["host"], pid=dead.pid)
    running(tmp_path, 1, [], **HERE)
    running(tmp_path, 2, [], host="another", pid=dead.pid)
    assert [each.status for each in watch.look()] == ["killed", "running", "running"]
    assert str(dead.pid) in watch.look()[0].reason


def test_what_an_earlier_attempt_left_is_not_where_jobs_are(tmp_path: Path) -> None:
    job(tmp_path, 0, [], (0.5, 0.6))
    job(tmp_path, 1, [], None, reason="then")
    watch = Watch(tmp_path, [[], [], []])
    assert [each.name for each in watch.look()] == ["0"]
    running(tmp_path, 1, [])
    assert [(each.name, each.status) for each in watch.look()] == [
        ("0", "complete"), ("1", "running")
    ]  # fmt: skip


def test_a_torn_status_is_read_again_later(tmp_path: Path) -> None:
    watch = Watch(tmp_path, None)
    running(tmp_path, 0, [])
    (tmp_path / "0" / "status.json").write_text('{"status": "runn')
    assert watch.look() == []
    running(tmp_path, 0, [])
    assert [each.name for each in watch.look()] == ["0"]


def test_lines_elsewhere_than_in_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One when a job begins and one when it ends, even if nobody looked in between."""
    jobs = [["seed=1"], ["seed=2"], ["seed=3"], ["seed=4"]]
    job(tmp_path, 0, jobs[0], (0.5, 0.6))
    watch = Watch(tmp_path, jobs)
    lines = display.PlainLines(watch)
    running(tmp_path, 1, jobs[1], notes=["careful"])
    lines.show(watch.look())
    lines.show(watch.look())
    (tmp_path / "1" / "status.json").unlink()
    (tmp_path / "1" / "overrides.yaml").unlink()
    (tmp_path / "1").rmdir()
    job(tmp_path, 1, jobs[1], (0.5, 0.7), seconds=62, notes=["careful"])
    job(tmp_path, 2, jobs[2], None, reason="of \x1b[31mthis\nand that", seconds=3)
    lines.end(watch.look())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:-1] == [
        "jobs complete already: 1",
        "job 1 begins: seed=2",
        "note: job 1: careful",
        "job 1 complete in 1:02: macro-F1 0.700, gain +0.200",
        "job 2 begins: seed=3",
        "job 2 failed in 0:03: of \\x1b[31mthis",
    ]
    assert err.splitlines()[-1].startswith("4 jobs: 2 complete, 1 failed, 1 waiting")


def test_a_live_table_leaves_a_line_and_the_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "is_terminal", lambda: True)
    monkeypatch.setattr(display, "INTERVAL", 0.01)
    with display.shown(tmp_path, [["a=1"], ["a=2"], ["a=3"]]):
        running(tmp_path, 0, ["a=1"], notes=["the same"], progress=at("student alone", 1, 2, 3.0))
        running(tmp_path, 1, ["a=2"], notes=["the same", "[red]other"])
        time.sleep(0.2)
        write(tmp_path / "0", {"status": "complete", "seconds": 4, "notes": ["the same"]})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("note: job 0: the same") == 1
    assert err.count("note: job 1: [red]other") == 1
    assert "the same" not in err.replace("note: job 0: the same", "")
    assert "3 jobs: 1 complete, 1 running, 1 waiting; 0:00" in err.splitlines()[-1]


@pytest.mark.parametrize("width", [80, 140])
def test_two_hundred_jobs_on_a_small_terminal(tmp_path: Path, width: int) -> None:
    jobs = [
        [f"loss=kl{n}", f"teacher.training.learning_rate={n}", "name=" + 60 * "x"]
        for n in range(200)
    ]
    watch = Watch(tmp_path, jobs)
    for number in range(120):
        if number < 100:
            job(tmp_path, number, jobs[number], (0.5, 0.6), seconds=20)
        elif number < 110:
            running(tmp_path, number, jobs[number], progress=at("student distilled", 1, 2, 30.0))
        else:
            job(tmp_path, number, jobs[number], None, reason="RunFailed: " + 80 * "y")
    job(tmp_path, 120, jobs[120], None, reason="late")
    stream = io.StringIO()
    console = Console(width=width, height=24, file=stream)
    console.print(display.table(watch, watch.look(), 61, width, 18))
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert len(lines) < 24
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("200 jobs: 100 complete, 10 running")
    assert lines[1].split()[:3] == ["100", "loss=kl100", "learning_rate=100"]
    assert "0:30" in lines[1]
    assert ("loss 0.5" in lines[1]) == (width == 140)
    assert any(line.startswith("120 ") and "failed: late" in line for line in lines)


def test_a_sweep_in_which_a_job_fails(
    ctkd: Ctkd, tiny_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3; the page has the reason and a command that runs the job; resume finishes it."""
    fit = encoded_task.fit

    def failing(model: Any, lesson: Any, training: Any, *others: Any) -> Any:
        if training.weight_decay == 0.25:
            raise RunFailed("the <cable> was pulled")
        return fit(model, lesson, training, *others)

    monkeypatch.setattr(encoded_task, "fit", failing)
    asked = [*tiny_run, "target.validation_size=4", "training.weight_decay=0,0.25"]
    code, out, err = ctkd("run", "-m", *asked)
    assert code == 3, err
    (directory,) = Path("outputs").iterdir()
    for line in (
        "job 0 begins: weight_decay=0", "job 0 complete in", "job 1 begins: weight_decay=0.25",
        "job 1 failed in", "the <cable> was pulled", "2 jobs: 1 complete, 1 failed",
    ):  # fmt: skip
        assert line in err
    assert err.count("student") == 0  # jobs themselves are silent
    assert "log-likelihood" in out or "log-lik." in out  # 8 examples validate: labels left out do
    page = unescape((directory / "sweep.html").read_text())
    assert "the <cable> was pulled" in page
    command = next(line for line in page.splitlines() if "<pre>ctkd run source" in line)
    command = command.strip().removeprefix("<pre>").removesuffix("</pre>")
    monkeypatch.setattr(encoded_task, "fit", fit)
    before = set(Path("outputs").iterdir())
    code, _, err = ctkd(*shlex.split(command)[1:])
    assert code == 0, err
    (again,) = set(Path("outputs").iterdir()) - before
    assert yaml.safe_load((again / "config.yaml").read_text())["training"]["weight_decay"] == 0.25
    code, out, err = ctkd("resume", str(directory))
    assert code == 0, err
    assert "complete already: 1" in err
    assert "Chosen by left-out labels among 2 settings" in out
    assert "did not end" not in (directory / "sweep.html").read_text()
