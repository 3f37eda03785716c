"""The jobs of a sweep in other processes: shared work, failures, deaths, and going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ctkd_cli.runs.rundir import status_of
from ctkd_cli.sweep import launchers
from ctkd_cli.sweep.launchers import base, submitit

Ctkd = Callable[..., tuple[int, str, str]]
TINY = [
    "experiment=digits",
    "seeds=1",
    "training.steps=4",
    "teacher.training.steps=4",
    "source.limit=60",
]
DIVERGES = "1e30"  # a learning rate with which the loss is not finite


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTKD_CACHE", str(tmp_path / "cache"))


def only(folder: Path = Path("outputs")) -> Path:
    (directory,) = folder.iterdir()
    return directory


def statuses(sweep: Path) -> dict[str, str]:
    return {file.parent.name: status_of(file.parent)["status"]
            for file in sorted(sweep.glob("*/status.json"))}  # fmt: skip


def made(sweep: Path, stage: str, arm: str | None = None) -> int:
    """How often a stage was done anew in all jobs: starts that are not followed by `reused`."""
    n = 0
    for file in sweep.glob("*/events.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        ours = [line for line in lines if line["stage"] == stage]
        for line, following in zip(ours, [*ours[1:], {}], strict=True):
            if line["event"] == "start" and line.get("arm") == arm:
                n += following.get("event") != "reused"
    return n


def threads(job: Path) -> int:
    environment = json.loads((job / "environment.json").read_text())
    return int(environment["hardware"]["torch_threads"])


def folder_of_mine() -> None:
    Path("mine/schedule").mkdir(parents=True)
    Path("mine/schedule/half.yaml").write_text("# Mine\nname: constant\n")


def sweep_with_a_failure(ctkd: Ctkd, *launcher: str) -> Path:
    """Four jobs, of which two diverge; what must hold with every launcher."""
    folder_of_mine()
    code, out, err = ctkd(
        "run", "-m", *TINY, "--config-dir", "mine", "schedule=half", "lambda=0.5,1",
        f"training.learning_rate=0.003,{DIVERGES}", *launcher,
    )  # fmt: skip
    sweep = only()
    assert code == 3, err
    assert "2 of 4 jobs did not end" in err
    assert statuses(sweep) == {"0": "complete", "1": "failed", "2": "complete", "3": "failed"}
    assert "not finite" in status_of(sweep / "1")["reason"]
    assert made(sweep, "teacher") == 1
    assert made(sweep, "student", "alone") == 1 + 2  # that of the jobs that diverge never ends
    assert (sweep / "sweep.csv").read_text().count("complete") == 2
    assert (sweep / "sweep.html").exists()
    assert "lambda=1" in out
    return sweep


def test_joblib(ctkd: Ctkd) -> None:
    sweep = sweep_with_a_failure(ctkd, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert threads(sweep / "0") == max(1, base.cores() // 2)
    assert "student alone" in (sweep / "0" / "console.log").read_text()


@pytest.mark.slow
def test_submitit_local_and_resume(ctkd: Ctkd) -> None:
    sweep = sweep_with_a_failure(ctkd, "hydra/launcher=submitit_local", "hydra.launcher.n_jobs=2")
    assert threads(sweep / "0") == max(1, base.cores() // 2)
    before = (sweep / "0" / "metrics.json").stat().st_mtime_ns
    code, _, err = ctkd("resume", str(sweep))
    assert code == 3, err
    assert statuses(sweep) == {"0": "complete", "1": "failed", "2": "complete", "3": "failed"}
    assert (sweep / "0" / "metrics.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_ray_with_two_workers_and_resume(ctkd: Ctkd) -> None:
    pytest.importorskip("ray")
    sweep = sweep_with_a_failure(
        ctkd, "hydra/launcher=ray", "hydra.launcher.init.num_cpus=2", "hydra.launcher.num_cpus=1"
    )
    assert threads(sweep / "0") == 1
    code, _, err = ctkd("resume", str(sweep))
    assert code == 3, err
    assert list(statuses(sweep).values()) == ["complete", "failed"] * 2


@pytest.mark.slow
def test_the_users_threads_win(ctkd: Ctkd) -> None:
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    assert ctkd("run", "-m", *TINY, "device.threads=3", "lambda=1,2", *launcher)[0] == 0
    assert threads(only() / "1") == 3


class Killer(threading.Thread):
    """kill -9 to the process of a job, as often as it comes up."""

    def __init__(self, job: str) -> None:
        super().__init__(daemon=True)
        self.job = job
        self.killed: set[int] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.005):
            for file in Path("outputs").glob(f"*/{self.job}/status.json"):
                status = status_of(file.parent)
                if status.get("status") == "running" and status["pid"] not in self.killed:
                    self.killed.add(status["pid"])
                    os.kill(status["pid"], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_a_job_that_is_killed_does_not_take_the_others_along(ctkd: Ctkd, launcher: str) -> None:
    pytest.importorskip(launcher.partition("_")[0])
    killer = Killer("1")
    killer.start()
    code, out, err = ctkd("run", "-m", *TINY, "lambda=0,1,2,3", f"hydra/launcher={launcher}")
    killer.over.set()
    assert killer.killed
    assert code == 3, err
    assert "1 of 4 jobs did not end" in err
    sweep = only()
    assert statuses(sweep) == {"0": "complete", "1": "failed", "2": "complete", "3": "complete"}
    assert "job 1" in out
    assert ctkd("resume", str(sweep))[0] == 0
    assert set(statuses(sweep).values()) == {"complete"}
    assert made(sweep, "teacher") <= 2  # killed within it, perhaps


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ctkd_cli", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def wait_for(seen: Callable[[], Any], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_stopped_leaves_no_process_and_is_finished_by_resume(
    ctkd: Ctkd, launcher: str, with_signal: signal.Signals
) -> None:
    """To the parent alone: a terminal's Ctrl-C reaches all of them."""
    pytest.importorskip(launcher.partition("_")[0])
    asked = [*TINY, "training.steps=150", "lambda=0.5,1,2,3", f"hydra/launcher={launcher}"]
    process = start("run", "-m", *asked)
    wait_for(lambda: any(Path("outputs").glob("*/1/events.jsonl")))
    jobs = [status_of(file.parent)["pid"] for file in only().glob("*/status.json")]
    process.send_signal(with_signal)
    code = process.wait(60)
    assert code == (-signal.SIGKILL if with_signal is signal.SIGKILL else 130)
    wait_for(lambda: not any(map(is_alive, jobs)), 10)
    code, _, err = ctkd("resume", str(only()))
    assert code == 0, err
    assert statuses(only()) == dict.fromkeys("0123", "complete")


@pytest.mark.slow
def test_two_sweeps_of_the_same_second_share_a_folder_and_a_teacher(ctkd: Ctkd) -> None:
    asked = ["run", "-m", *TINY, "hydra/launcher=joblib"]
    both = [start(*asked, "lambda=0.5,1"), start(*asked, "lambda=1,2")]
    assert [process.wait(300) for process in both] == [0, 0]
    sweeps = list(Path("outputs").iterdir())
    assert [statuses(sweep) for sweep in sweeps] == 2 * [{"0": "complete", "1": "complete"}]
    assert sum(made(sweep, "teacher") for sweep in sweeps) == 1
    assert sum(made(sweep, "student", "alone") for sweep in sweeps) == 1
    assert sum(made(sweep, "student", "distilled") for sweep in sweeps) == 3  # lambda=1 is shared


@pytest.mark.slow
def test_two_hundred_jobs_killed_and_resumed(ctkd: Ctkd) -> None:
    """Many minutes."""
    lambdas = ",".join(str(n / 100) for n in range(1, 201))
    process = start("run", "-m", *TINY, f"lambda={lambdas}", "hydra/launcher=joblib")
    wait_for(lambda: any(Path("outputs").glob("*/40/events.jsonl")), 1800)
    process.kill()
    process.wait()
    assert ctkd("resume", str(only()))[0] == 0
    assert statuses(only()) == dict.fromkeys(sorted(map(str, range(200))), "complete")
    assert made(only(), "teacher") == 1
    assert made(only(), "student", "alone") == 1
    assert (only() / "sweep.csv").read_text().count("complete") == 200


class Lingering:
    """Stands in for a submitit job that needs some looks to be done."""

    going: int = 0
    most: int = 0

    def __init__(self, job: base.Job) -> None:
        self.job = job
        self.looks = 3
        type(self).going += 1
        type(self).most = max(self.most, self.going)

    def done(self) -> bool:
        self.looks -= 1
        if self.looks == 0:
            type(self).going -= 1
        return self.looks <= 0

    def result(self) -> str:
        return f"end of {self.job.number}"


def test_submitit_local_does_not_start_all_jobs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Executor:
        submit = staticmethod(Lingering)

    launcher = submitit.LocalLauncher(n_jobs=2, cpus_per_task=None)
    monkeypatch.setattr(launcher, "_executor", lambda: Executor)
    monkeypatch.setattr(submitit, "POLL_SECONDS", 0)
    jobs = [base.Job(n, [], None, None, None, {}) for n in range(12)]  # type: ignore[arg-type]
    ends = dict(launcher.run(jobs))
    assert Lingering.most == 2
    assert ends == {n: f"end of {n}" for n in range(12)}


def test_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "cores", lambda: 16)
    jobs = [base.Job(n, [], None, None, None, {}) for n in range(3)]  # type: ignore[arg-type]
    assert base.at_once(-1, jobs) == 3  # no more than there are jobs
    assert base.at_once(2, jobs) == 2
    assert [job.threads for job in base.side_by_side(jobs, 3)] == [5, 5, 5]
    assert [job.threads for job in base.side_by_side(jobs, 3, threads=2)] == [2, 2, 2]


SBATCH = """#!/bin/bash
# Stands in for SLURM's: keeps the script, and runs each job of its array.
cp "$1" "$FAKE_SLURM/script.sh"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
export SLURM_JOB_NODELIST=here SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0
export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_ARRAY_JOB_ID=77
for i in $(seq 0 "$last"); do
  SLURM_JOB_ID=$((78 + i)) SLURM_ARRAY_TASK_ID=$i bash "$1" >/dev/null 2>&1 &
done
echo "Submitted batch job 77"
"""
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do
  case "$1" in --output | --error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with commands of SLURM's names; the script that sbatch was given."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    commands = {"sbatch": SBATCH, "srun": SRUN, "sacct": "#!/bin/bash\necho JobID\n"}
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    return folder / "script.sh"


DOCS = Path(__file__).parents[2] / "docs" / "sweeps.md"


def test_the_yaml_for_slurm_that_the_docs_show(ctkd: Ctkd, slurm: Path) -> None:
    """Through the script that submitit writes, which SLURM would run."""
    (shown,) = (part for part in DOCS.read_text().split("```") if "submitit_slurm" in part
                and part.startswith("yaml"))  # fmt: skip
    Path("mine/experiment").mkdir(parents=True)
    Path("mine/experiment/on_slurm.yaml").write_text(shown.removeprefix("yaml\n"))
    asked = ["run", "-m", *TINY[1:], "source=digits_low", "target=digits_high", "teacher=convnet",
             "student=convnet", "loss=hint", "lambda=1,2"]  # fmt: skip
    code, _, err = ctkd(*asked, "--config-dir", "mine", "experiment=on_slurm")
    assert code == 0, err
    assert statuses(only()) == {"0": "complete", "1": "complete"}
    given = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2]
        for line in slurm.read_text().splitlines()
        if line.startswith("#SBATCH --")
    )
    wanted = yaml.safe_load(shown.removeprefix("yaml\n"))["hydra"]["launcher"]
    assert given["partition"] == wanted["partition"]
    assert given["account"] == wanted["account"]
    assert given["time"] == str(wanted["timeout_min"])
    assert given["cpus-per-task"] == str(wanted["cpus_per_task"])
    assert given["mem"] == f"{wanted['mem_gb']}GB"
    assert given["gres"] == wanted["gres"]
    assert given["array"] == "0-1%2"
    assert given["mail-type"] == wanted["additional_parameters"]["mail-type"]
    assert wanted["setup"][0] in slurm.read_text()
    assert threads(only() / "0") == wanted["cpus_per_task"]


def test_a_job_that_slurm_takes_off_is_put_into_the_queue_again(tmp_path: Path) -> None:
    job = base.Job(4, ["a=1"], None, None, None, {})  # type: ignore[arg-type]
    again = job.checkpoint().function
    assert again.number == 4
    assert again.variables[launchers.RESUME_VARIABLE] == "1"
    assert launchers.RESUME_VARIABLE not in job.variables


@pytest.mark.parametrize(
    ("launcher", "extra"),
    [("joblib", "joblib"), ("submitit_local", "submitit"), ("submitit_slurm", "submitit"),
     ("ray", "ray")],
)  # fmt: skip
def test_a_launcher_that_is_not_installed(
    ctkd: Ctkd, monkeypatch: pytest.MonkeyPatch, launcher: str, extra: str
) -> None:
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    code, _, err = ctkd("run", "-m", *TINY, "lambda=0,1", f"hydra/launcher={launcher}")
    assert code == 2
    assert f'pip install "ctkd[{extra}]"' in err
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [("hydra/launcher=jobblib", "joblib"), ("hydra.launcher.n_job=2", "n_job")],
)
def test_a_launcher_that_is_misspelt(ctkd: Ctkd, override: str, said: str) -> None:
    code, _, err = ctkd("run", "-m", *TINY, "lambda=0,1", override)
    assert code == 2
    assert said in err
    assert not Path("outputs").exists()
