"""What does other work on the machine's cores cost a run, and how should torch's threads wait?

    python scripts/bench_busy.py                      # two rounds of both trainings: minutes
    python scripts/bench_busy.py --rounds 1 --trainings smoke --ways passive torch
    python scripts/bench_busy.py table

A training is done in each way of waiting, idle and beside --others processes that count for ever
(default: one for each core), in turns; `seconds` are those of the stages that train, without
imports; medians. The ways: `passive`, as ctkd sets it; `torch`, as OpenMP waits when nobody sets
anything; `short`, a thousand looks before a thread sleeps; `one`, a single thread.

Lines go to docs/bench_busy.jsonl, with the machine and its load before each round; `table` prints
them as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ctkd_cli.runs import environment

RESULTS = Path("docs/bench_busy.jsonl")
WAYS = {
    "passive": {},
    "torch": {"GOMP_SPINCOUNT": "300000"},  # libgomp's own default
    "short": {"GOMP_SPINCOUNT": "1000"},
    "one": {"OMP_NUM_THREADS": "1"},
}
TRAININGS = {
    "smoke": ["experiment=smoke"],
    "small": ["teacher.training.steps=20", "training.steps=20"],
}
OURS = ("OMP_", "GOMP_", "KMP_", "MKL_")  # variables that decide it: none is inherited
COUNTS = [sys.executable, "-c", "while True: pass"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", nargs="?", default="run", choices=["run", "table"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--others", type=int, default=os.cpu_count())
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--trainings", nargs="+", default=list(TRAININGS), choices=list(TRAININGS))
    options = parser.parse_args()
    if options.verb == "table":
        print_table()
        return
    for training in options.trainings:
        for others in (0, options.others):
            measure(training, others, options.ways, options.rounds)


def measure(training: str, others: int, ways: Sequence[str], rounds: int) -> None:
    """A training in each way, beside so many others; a line for each way."""
    load, seconds = [], {}
    for _ in range(rounds):
        load.append(os.getloadavg()[0])
        for way in ways:
            with counting(others):
                seconds.setdefault(way, []).append(trained(TRAININGS[training], WAYS[way]))
    for way, found in seconds.items():
        line = {
            "cpu_model": environment.describe()["hardware"]["cpu"],
            "cores": os.cpu_count(),
            "training": training,
            "others": others,
            "way": way,
            "seconds": {
                stage: round(float(np.median([each[stage] for each in found])), 2)
                for stage in found[0]
            },
            "load": [round(each, 2) for each in load],
        }
        print(json.dumps(line), flush=True)
        with RESULTS.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def trained(overrides: Sequence[str], variables: dict[str, str]) -> dict[str, float]:
    """Seconds of the stages that train, and of all, of a run in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    with tempfile.TemporaryDirectory() as folder:
        places = {"CTKD_CACHE": f"{folder}/cache", "CTKD_OUTPUTS": f"{folder}/outputs"}
        subprocess.run(
            [sys.executable, "-m", "ctkd_cli", "run", *overrides],
            env={**inherited, **variables, **places}, check=True, capture_output=True,
        )  # fmt: skip
        (status,) = Path(folder, "outputs").glob("*/status.json")
        told = json.loads(status.read_text())
    stages = {
        name: told["stages"][name] for name in ("teacher", "student alone", "student distilled")
    }
    return {**stages, "training": sum(stages.values()), "run": told["seconds"]}


@contextmanager
def counting(n: int) -> Iterator[None]:
    """Other work on the cores, that ends with what it is for."""
    processes = [subprocess.Popen(COUNTS) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def print_table() -> None:
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    found = {(line["training"], line["way"], line["others"] > 0): line for line in lines}
    print("| training | way of waiting | idle, s | busy, s | times |")
    print("|---|---|---|---|---|")
    for training, way in dict.fromkeys(key[:2] for key in found):
        idle, busy = (
            found[training, way, others]["seconds"]["training"]
            if (training, way, others) in found
            else None
            for others in (False, True)
        )
        cells = [f"{each:.1f}" if each else "" for each in (idle, busy)]
        times = f"{busy / idle:.1f}" if idle and busy else ""
        print(f"| {training} | {way} | {' | '.join(cells)} | {times} |")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
