"""A sweep of 12 jobs (3 lambdas x 4 seeds) on the default pair, with each launcher.

    .venv/bin/python scripts/bench_sweep.py                  # all launchers, some 30 minutes
    .venv/bin/python scripts/bench_sweep.py basic joblib

Each sweep starts with an empty cache. `teachers` counts trainings of a teacher in all events, and
`teacher` is what they took, their adaptation to each seed's labels among it. `students` is the sum
of what the jobs themselves report for training their students (stages `student alone`, `student
distilled` and `selection`, in which jobs on few labels are scored on parts of these). `of the sum`
is the time of the whole command, less the teacher's, divided by that of the students: what else a
sweep costs, and what several processes save. Seconds are those of a shared machine: compare
the ratios.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local"],
    "ray": ["hydra/launcher=ray"],
    "torchrun": [],
}
SWEEP = ["run", "-m", "lambda=0.3,1,3", "seed=1,2,3,4"]


def main() -> None:
    chosen = sys.argv[1:] or list(LAUNCHERS)
    print("| launcher | jobs | teachers | seconds | teacher | students | of the sum |")
    print("|---|---|---|---|---|---|---|")
    for name in chosen:
        print(measure(name, LAUNCHERS[name]), flush=True)


def measure(name: str, overrides: list[str]) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "CTKD_CACHE": f"{scratch}/cache",
            "CTKD_OUTPUTS": f"{scratch}/outputs",
            "HF_HUB_OFFLINE": "1",
        }
        start = [sys.executable, "-m"]
        if name == "torchrun":
            start += ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
        began = time.monotonic()
        done = subprocess.run(
            [*start, "ctkd_cli", *SWEEP, *overrides],
            env=environment,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(done.stderr)
        (sweep,) = Path(scratch, "outputs").iterdir()
        jobs = [file.parent for file in sweep.glob("*/status.json")]
        stages = [json.loads((job / "status.json").read_text())["stages"] for job in jobs]

        def spent(*beginnings: str) -> float:
            return sum(
                s for each in stages for name, s in each.items() if name.startswith(beginnings)
            )

        students = spent("student", "selection")
        teacher = max(each["teacher"] for each in stages) + spent("adaptation")
        teachers = sum(trained(job) for job in jobs)
    ratio = (seconds - teacher) / students
    return (
        f"| {name} | {len(jobs)} | {teachers} | {seconds:.0f} | {teacher:.0f} | {students:.0f} | "
        f"{ratio:.2f} |"
    )


def trained(job: Path) -> int:
    """How many teachers a job trained: stages that did not find theirs."""
    lines = map(json.loads, (job / "events.jsonl").read_text().splitlines())
    events = [line["event"] for line in lines if line["stage"] == "teacher"]
    return events.count("start") - events.count("reused")


if __name__ == "__main__":
    main()
