"""Does a run stream? Resident memory and time for ten thousand, a hundred thousand and a million
target inputs, with tiny models.

    .venv/bin/python scripts/bench_size.py            # some 10 minutes, about 1 GB of disk
    .venv/bin/python scripts/bench_size.py 10000 100000

Each line is one `ctkd run` in a process of its own, with an empty cache: a CSV of so many
unlabelled texts, a few labelled ones, one epoch. `memory` is the process's peak resident set
(VmHWM), mapped files included; `anonymous` the peak without them, which no page cache can give up.
`seconds` are those of the stages that read every input: knowledge and the distilled student.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = (
    "market", "share", "game", "goal", "film", "star", "bank", "vote", "phone", "net", "rain",
    "gold", "team", "song", "law", "tax",
)  # fmt: skip
LABELS = ("business", "sport", "culture")
TINY = "{hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2}"


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    first: dict[str, float] = {}
    print("| target inputs | memory (MB) | anonymous (MB) | seconds | per 1,000 inputs |")
    print("|---|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            found = measure(size, Path(scratch))
        first = first or found
        memory, anonymous = (
            f"{found[name]:.0f} ({found[name] / first[name]:.2f} x)"
            for name in ("memory", "anonymous")
        )
        per = 1000 * found["seconds"] / size
        print(
            f"| {size:,} | {memory} | {anonymous} | {found['seconds']:.0f} | {per:.3f} |",
            flush=True,
        )


def measure(size: int, scratch: Path) -> dict[str, float]:
    """One run. Memory in MB, time in seconds."""
    write(scratch / "train.csv", 200, labelled=True)
    write(scratch / "test.csv", 1_000, labelled=True)
    write(scratch / "more.csv", size, labelled=False)
    command = [
        sys.executable, "-m", "ctkd_cli", "run", f"hydra.run.dir={scratch}/run", "device=cpu",
        "source=files", f"source.train={scratch}/train.csv", f"source.test={scratch}/test.csv",
        "target=files", f"target.train={scratch}/train.csv", f"target.test={scratch}/test.csv",
        f"target.unlabelled={scratch}/more.csv",
        "teacher.weights=random", "teacher.layers=null", f"teacher.config={TINY}",
        "student.weights=random", "student.layers=null", f"student.config={TINY}",
        "teacher.training.steps=50",
        "training.steps=null", "training.epochs=1", "training.batch_size=256",
    ]  # fmt: skip
    environment = {**os.environ, "CTKD_CACHE": f"{scratch}/cache", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    peaks = {"VmHWM": 0.0, "RssAnon": 0.0}
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for name in peaks:
            if found := re.search(rf"{name}:\s+(\d+)", status):
                peaks[name] = max(peaks[name], int(found[1]) / 1024)
        time.sleep(0.2)
    if process.wait() != 0:
        sys.exit(f"the run failed: {' '.join(command)}")
    stages = json.loads((scratch / "run" / "status.json").read_text())["stages"]
    seconds = stages["knowledge"] + stages["student distilled"]
    return {"memory": peaks["VmHWM"], "anonymous": peaks["RssAnon"], "seconds": seconds}


def write(file: Path, n: int, labelled: bool) -> None:
    """Texts of nine words, the first of which tells the label."""
    generator = np.random.default_rng(n)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"] if labelled else ["text"])
        for row in range(n):
            words = generator.integers(len(WORDS), size=9)
            text = " ".join(WORDS[word] for word in words) + f" {row}"
            label = [LABELS[words[0] % len(LABELS)]] if labelled else []
            writer.writerow([text, *label])


if __name__ == "__main__":
    main()
