"""Two processes that train one student, as torchrun starts them, against one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_resume import CAREFUL, saw

NO_DROPOUT = "{hidden_dropout_prob: 0, attention_probs_dropout_prob: 0}"
SHARED = [str(Path(__file__).parents[1])]  # what tests share
ONE = [sys.executable, "-m", "ctkd_cli", "run"]
TORCHRUN = [
    sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
]  # fmt: skip
TWO = [*TORCHRUN, "-m", "ctkd_cli", "run"]
# A batch of 13 does not split evenly, sp compares the examples of a batch, hint has a projector of
# its own, and projecting takes gradients apart.
EXPERIMENT = [
    "experiment=smoke", "device=cpu", "device.threads=1", "loss=mix",
    "loss.terms={probe_kl: 1, sp: 1, hint: 1}", "on_conflict=project",
    "student.weights=random", "student.layers=2", f"student.config={NO_DROPOUT}",
    "teacher.weights=random", f"teacher.config={NO_DROPOUT}",
    "training.steps=6", "training.batch_size=13", "target.validation_size=2",
    "training.select=best", "training.evaluations=3",
]  # fmt: skip


def run(command: list[str], folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "CTKD_CACHE": str(folder / "cache"),
        "CTKD_OUTPUTS": str(folder / "outputs"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([*SHARED, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    return subprocess.run(
        [*command, *overrides], capture_output=True, text=True, env=environment, cwd=folder
    )


def test_two_processes_do_as_one_does(tmp_path: Path) -> None:
    runs = {}
    for name, command in {"one": ONE, "two": TWO}.items():
        folder = tmp_path / name
        folder.mkdir()
        done = run(command, folder, *EXPERIMENT)
        assert done.returncode == 0, done.stderr
        (runs[name],) = (folder / "outputs").iterdir()
    one, two = (json.loads((each / "metrics.json").read_text()) for each in runs.values())
    scores = [key for key in one if key.endswith(("macro_f1", "accuracy", "nll"))]
    assert len(scores) > 10
    assert {key: two[key] for key in scores} == pytest.approx(
        {key: one[key] for key in scores}, abs=1e-5
    )
    said = [pq.read_table(each / "predictions.parquet").to_pandas() for each in runs.values()]
    chances = [name for name in said[0].columns if name.startswith("p(")]
    np.testing.assert_allclose(said[0][chances], said[1][chances], atol=1e-5)
    # The second process left nothing beside what the first one wrote.
    left = [sorted(path.name for path in each.iterdir()) for each in runs.values()]
    assert left[0] == left[1]
    lines = map(json.loads, (runs["two"] / "events.jsonl").read_text().splitlines())
    begun = [line["stage"] for line in lines if line["event"] == "start"]
    assert begun.count("teacher") == 1


def test_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    done = run(TORCHRUN, tmp_path, str(Path(__file__).parent / "gradients_of_two.py"))
    assert done.stdout.count("gradients agree") == 4, done.stderr


def test_a_refused_config_is_refused_once(tmp_path: Path) -> None:
    done = run(TWO, tmp_path, "loss=kll", "lambda=-1")
    assert done.returncode != 0
    assert done.stderr.count("kll") == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_two_processes_that_were_killed_go_on_from_their_checkpoint(tmp_path: Path) -> None:
    """Dropout, of which each process has its own, is as if they had not been."""
    program = tmp_path / "careful.py"
    program.write_text(CAREFUL)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    asked = [option for option in EXPERIMENT if NO_DROPOUT not in option]
    assert run(TWO, whole, *asked).returncode == 0
    environment = {
        **os.environ,
        "CTKD_CACHE": str(broken / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        [*TORCHRUN, str(program), "run", *asked], cwd=broken, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        until = time.monotonic() + 120
        while not saw(broken, '"distilled"', '"step": 3')():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        workers = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()
        assert len(workers) == 2
        for pid in (process.pid, *map(int, workers)):
            os.kill(pid, signal.SIGKILL)
    (directory,) = (broken / "outputs").iterdir()
    done = run([*TORCHRUN, str(program), "resume"], broken, str(directory))
    assert done.returncode == 0, done.stderr
    assert "going on after step" in (directory / "run.log").read_text()
    (unbroken,) = (whole / "outputs").iterdir()
    name = "predictions.parquet"
    assert (directory / name).read_bytes() == (unbroken / name).read_bytes()
