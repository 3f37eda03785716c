"""How long from Enter to an answer, and to the first training step?

    python scripts/bench_startup.py              # five rounds, a minute or two
    python scripts/bench_startup.py table

Each command is a process of its own, in turns with `python -c "import torch, transformers"`, which
no training can do without; medians. `seconds` is wall time, `cpu` user and system time: on a busy
machine look at that and at the ratio, which is of wall times. The first step of
`experiment=smoke` is that of the teacher, with an empty cache, as its event tells.

Lines go to docs/bench_startup.jsonl, with the machine; `table` prints them as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from ctkd_cli.runs import environment

RESULTS = Path("docs/bench_startup.jsonl")
IMPORTS = "import torch, transformers"
COMMANDS = {
    IMPORTS: ["-c", IMPORTS],
    "ctkd --help": ["-m", "ctkd_cli", "--help"],
    "ctkd list": ["-m", "ctkd_cli", "list"],
    "ctkd list loss": ["-m", "ctkd_cli", "list", "loss"],
    "a refused config": ["-m", "ctkd_cli", "run", "source=nope", "lamda=1"],
}
SMOKE = ["-m", "ctkd_cli", "run", "experiment=smoke"]
FIRST_STEP = "first step of experiment=smoke"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", nargs="?", default="run", choices=["run", "table"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.verb == "table":
        print_table()
        return
    wall: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    for position in range(options.rounds + 1):
        for name, arguments in COMMANDS.items():
            seconds, spent = measure(arguments)
            if position > 0:  # the first is for the disk
                wall.setdefault(name, []).append(seconds)
                cpu.setdefault(name, []).append(spent)
        seconds = first_step()
        if position > 0:
            wall.setdefault(FIRST_STEP, []).append(seconds)
    ratio = {
        name: float(np.median(np.array(each) / np.array(wall[IMPORTS])))
        for name, each in wall.items()
    }
    line = {
        "cpu_model": environment.describe()["hardware"]["cpu"],
        "load": os.getloadavg()[0],
        "seconds": {name: float(np.median(each)) for name, each in wall.items()},
        "cpu": {name: float(np.median(each)) for name, each in cpu.items()},
        "of_imports": ratio,
    }
    with RESULTS.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    print(json.dumps(line, indent=1))


def measure(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a process."""
    before, began = _children(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True)
    return time.perf_counter() - began, _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def first_step() -> float:
    """Seconds from the start of a run to the end of its first step."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"CTKD_CACHE": f"{folder}/cache", "CTKD_OUTPUTS": f"{folder}/outputs"}
        began = time.time()
        with started([sys.executable, *SMOKE], {**os.environ, **settings}) as run:
            while run.poll() is None:
                for events in Path(folder, "outputs").glob("*/events.jsonl"):
                    for line in events.read_text().splitlines(keepends=True):
                        if '"event": "step"' in line and line.endswith("\n"):
                            moment = datetime.fromisoformat(json.loads(line)["time"])
                            return moment.timestamp() - began
                time.sleep(0.1)
        raise SystemExit("the run ended without a step")


@contextmanager
def started(command: list[str], settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with what it is needed for."""
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, env=settings, stdout=silent, stderr=silent)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def print_table() -> None:
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    print("| what | seconds | processor seconds | of the imports | load |")
    print("|---|---|---|---|---|")
    for line in lines:
        for name, seconds in line["seconds"].items():
            spent = f"{line['cpu'][name]:.2f}" if name in line["cpu"] else ""
            print(
                f"| {name} | {seconds:.2f} | {spent} | {line['of_imports'][name]:.2f} "
                f"| {line['load']:.1f} |"
            )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
