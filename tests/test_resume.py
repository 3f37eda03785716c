"""Runs and sweeps that are killed, resumed, and repeated: nothing is lost, nothing done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ctkd_cli.runs import environment
from ctkd_cli.runs.rundir import is_going_on, status_of

Ctkd = Callable[..., tuple[int, str, str]]


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def reused(run: Path) -> list[str]:
    """Stages whose result was there already, with their arms."""
    began = ""
    found = []
    for event in events(run):
        if event["event"] == "start":
            began = f"{event['stage']} {event.get('arm', '')}".strip()
        if event["event"] == "reused":
            found.append(began)
    return found


def only(folder: Path = Path("outputs")) -> Path:
    (directory,) = folder.iterdir()
    return directory


# A program that keeps a checkpoint after each step, not each minute.
CAREFUL = """
from ctkd_cli.training import checkpoints
from ctkd_cli.__main__ import run_and_exit
checkpoints.EVERY, checkpoints.COST = 0.0, float("inf")
run_and_exit()
"""


def start(
    folder: Path, cache: Path, *arguments: str, program: Sequence[str] = ("-m", "ctkd_cli")
) -> subprocess.Popen[bytes]:
    """`ctkd ARGUMENTS` in a process of its own."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=folder, env={**os.environ, "CTKD_CACHE": str(cache)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kill_when(process: subprocess.Popen[bytes], seen: Callable[[], bool]) -> None:
    """kill -9 as soon as something can be seen."""
    until = time.monotonic() + 120
    while not seen():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def saw(folder: Path, *words: str) -> Callable[[], bool]:
    """Whether an event with these words has been told."""

    def look() -> bool:
        files = folder.glob("outputs/*/events.jsonl")
        lines = (line for file in files for line in file.read_text().splitlines())
        return any(all(word in line for word in words) for line in lines)

    return look


@pytest.fixture
def unbroken(tmp_path: Path, tiny_run: list[str]) -> Path:
    """The same run without an accident, with a cache of its own."""
    assert start(tmp_path / "whole", tmp_path / "cache-1", "run", *tiny_run, "seeds=2").wait() == 0
    return only(tmp_path / "whole" / "outputs")


def finish(folder: Path, cache: Path) -> Path:
    directory = only(folder / "outputs")
    assert start(folder, cache, "resume", str(directory)).wait() == 0
    assert status_of(directory)["status"] == "complete"
    return directory


POINTS = [
    ('"teacher"', '"step": 3'),
    ('"knowledge"', '"start"'),
    ('"alone"', '"step": 3'),
    ('"distilled"', '"step": 3', '"seed": 2'),
]


def test_killed_again_and_again_it_ends_with_the_same_predictions(
    tmp_path: Path, tiny_run: list[str], unbroken: Path
) -> None:
    folder, cache, run = tmp_path / "broken", tmp_path / "cache-2", ["run", *tiny_run]
    for number, words in enumerate(POINTS):
        asked = ["resume", str(only(folder / "outputs"))] if number else [*run, "seeds=2"]
        process = start(folder, cache, *asked, program=("-c", CAREFUL))
        kill_when(process, saw(folder, *words))
        assert status_of(only(folder / "outputs"))["status"] == "running"
    directory = finish(folder, cache)
    assert "teacher" in reused(directory)
    for name in ("predictions.parquet", "label_map.csv"):
        assert (directory / name).read_bytes() == (unbroken / name).read_bytes()
    first, second = (
        [
            (event["arm"], event["seed"], event["step"], event["loss"])
            for event in events(each)
            if (event["stage"], event["event"]) == ("student", "step")
        ]
        for each in (directory, unbroken)
    )
    assert first == second
    log = (directory / "run.log").read_text()
    assert "going on after step" in log
    assert list((cache / "checkpoints").glob("*/MANIFEST.json")) == []  # what was trained is kept
    left = {path.name for path in directory.iterdir()} ^ {p.name for p in unbroken.iterdir()}
    assert left == set()


@pytest.mark.slow
def test_killed_at_ten_random_moments(tmp_path: Path, tiny_run: list[str], unbroken: Path) -> None:
    folder, cache = tmp_path / "broken", tmp_path / "cache-2"
    generator = random.Random(0)
    began = time.monotonic()
    process = start(folder, cache, "run", *tiny_run, "seeds=2", program=("-c", CAREFUL))
    kill_when(process, saw(folder, "models"))
    longest = 2 * (time.monotonic() - began)
    for _ in range(10):
        again = ("resume", str(only(folder / "outputs")))
        process = start(folder, cache, *again, program=("-c", CAREFUL))
        time.sleep(generator.uniform(0.3, 1) * longest)
        process.send_signal(signal.SIGKILL)
        process.wait()
    directory = finish(folder, cache)
    name = "predictions.parquet"
    assert (directory / name).read_bytes() == (unbroken / name).read_bytes()


def test_a_complete_run_is_left_as_it_is(ctkd: Ctkd, tiny_run: list[str]) -> None:
    assert ctkd("run", *tiny_run)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in only().rglob("*")}
    code, out, _ = ctkd("resume", str(only()))
    assert code == 0
    assert "complete already" in out
    assert {path: path.stat().st_mtime_ns for path in only().rglob("*")} == before


def test_a_run_that_is_going_on_is_not_touched(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path
) -> None:
    process = start(tmp_path, tmp_path / "cache", "run", *tiny_run, "training.steps=5000")
    try:
        until = time.monotonic() + 60
        while not saw(tmp_path, "models")() and time.monotonic() < until:
            time.sleep(0.05)
        code, _, err = ctkd("resume", str(only()))
        assert code == 2
        assert "still going on" in err
        assert str(process.pid) in err
    finally:
        process.kill()
        process.wait()
    assert not is_going_on(status_of(only()))


@pytest.mark.parametrize("content", [None, "a: [", "nothing: here"])
def test_what_cannot_be_resumed_is_said(ctkd: Ctkd, tmp_path: Path, content: str | None) -> None:
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "config.yaml").write_text(content)
    code, _, err = ctkd("resume", "run")
    assert code == 2
    assert "Traceback" not in err


def test_a_sweep_that_was_killed_is_finished(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("CTKD_CACHE", str(cache))
    process = start(tmp_path, cache, "run", "-m", *tiny_run, "lambda=0.5,1,2", "name=three")
    kill_when(process, lambda: (only() / "1" / "events.jsonl").exists() if any(
        Path("outputs").glob("*/1")) else False)  # fmt: skip
    done = only() / "0" / "predictions.parquet"
    before = done.stat().st_mtime_ns
    code, out, err = ctkd("resume", str(only()))
    assert code == 0, err
    assert done.stat().st_mtime_ns == before
    assert [status_of(only() / job)["status"] for job in "012"] == 3 * ["complete"]
    assert "lambda=2" in out
    assert (only() / "sweep.html").exists()
    assert ctkd("resume", str(only()))[0] == 0  # nothing is left to do


def test_jobs_of_a_sweep_share_what_is_the_same(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    assert ctkd("run", "-m", *tiny_run, "lambda=0.5,1", "controls=basic")[0] == 0
    shared = [
        "teacher", "knowledge", "evaluation teacher", "student alone",
        "control stilts on source", "control stilts", "rival tfidf", "rival untuned",
        "rival cut_body",
    ]  # fmt: skip
    assert reused(only() / "0") == []
    assert reused(only() / "1") == shared


def test_the_same_run_again_trains_nothing_and_says_the_same(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    again = [[], [], ["reuse=false"], ["training.learning_rate=0.02"], ["training.steps=5"]]
    runs = []
    for more in again:
        assert ctkd("run", *tiny_run, *more)[0] == 0
        runs.append(max(Path("outputs").iterdir(), key=lambda path: path.stat().st_mtime_ns))
    trained = [[s for s in ("alone", "distilled") if f"student {s}" not in reused(r)] for r in runs]
    assert trained == [["alone", "distilled"], [], *3 * [["alone", "distilled"]]]
    tables = [pq.read_table(run / "predictions.parquet") for run in runs]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert not tables[0].equals(tables[3])
    ledger = [[e for e in events(run) if e["event"] == "step"] for run in runs[:2]]
    told = [[(e["arm"], e["step"], e["loss"]) for e in each if e["arm"] != "teacher"]
            for each in ledger]  # fmt: skip
    assert told[0] == told[1]  # curves and ledger are those of the training
    assert (runs[1] / "student" / "model.safetensors").exists()


def test_arms_of_other_code_are_not_taken(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    assert ctkd("run", *tiny_run)[0] == 0
    monkeypatch.setattr(environment, "code_hash", lambda *parts: "changed")
    assert ctkd("run", *tiny_run)[0] == 0
    last = max(Path("outputs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert reused(last) == ["teacher", "knowledge", "evaluation teacher"]


def test_the_hash_of_the_code_knows_parts_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "a_loss_of_mine.py"
    hashes = []
    for number in (1, 1, 2):
        module.write_text(f"class Mine:\n    weight = {number}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop("a_loss_of_mine", None)
        hashes.append(environment.code_hash(__import__("a_loss_of_mine").Mine()))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_damaged_arm_is_made_again(
    ctkd: Ctkd, tiny_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))
    assert ctkd("run", *tiny_run)[0] == 0
    for entry in (tmp_path / "cache" / "arms").glob("*/test.npy"):
        entry.write_bytes(entry.read_bytes()[:-1] + b"\x00")
    code, _, err = ctkd("run", *tiny_run)
    assert code == 0
    assert err.count("is damaged and is made again") == 5  # two students, three rivals
    tables = [pq.read_table(run / "predictions.parquet") for run in Path("outputs").iterdir()]
    assert tables[0].equals(tables[1])
