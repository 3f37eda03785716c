"""What a benchmark keeps of a run of ctkd, a line of JSON; and the lines it has."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]
OF_SEED = re.compile(r"([^/]+)/seed=(\d+)/macro_f1")


def asked(doc: str, names: Iterable[str], seeds: int) -> argparse.Namespace:
    """The command line of a benchmark of runs: `names`, `seeds`, and `set`, more settings. doc: of
    the script; names: what it measures; seeds: how many by default."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"{', '.join(names)}; or: table")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--set", nargs="+", default=[], help="more settings of the runs")
    return parser.parse_args()


def run(overrides: Sequence[str]) -> Line:
    """`seconds`, `load`; then `refused`, or macro_f1 of each arm, its mean under `macro_f1` and a
    list by seed under `seeds`, the verdict under `said`, each seed's hint under `hints`, whether an
    arm had not settled under `unsettled`."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "run")
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "ctkd_cli", "run", *overrides, f"hydra.run.dir={directory}"],
            capture_output=True, text=True,
        )  # fmt: skip
        line: Line = {"seconds": round(time.monotonic() - began, 1), "load": os.getloadavg()[0]}
        if done.returncode:
            return {**line, "refused": done.stderr.strip().splitlines()[-12:]}
        metrics = json.loads((directory / "metrics.json").read_text())
        by_seed: dict[str, list[float]] = {}
        for key, value in metrics.items():
            if found := OF_SEED.fullmatch(key):
                by_seed.setdefault(found[1], []).append(round(value, 4))
        events = map(json.loads, (directory / "events.jsonl").read_text().splitlines())
        hints = [event for event in events if event["event"] == "hint"]
        report = (directory / "report.txt").read_text()
        said = next((text for text in report.splitlines() if "macro-F1" in text), "")
        return {
            **line,
            "macro_f1": {arm: round(sum(each) / len(each), 4) for arm, each in by_seed.items()},
            "seeds": by_seed,
            "gain": [metrics.get(f"gain/macro_f1{end}") for end in ("", "_low", "_high")],
            "hints": [[round(h["leep_gain"], 4), round(h["p_value"], 4)] for h in hints],
            "said": said.strip(),
            "unsettled": "had not settled when training ended" in report,
        }


def lines(file: Path) -> list[Line]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def keep(file: Path, line: Line) -> None:
    with file.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    print(json.dumps(line, indent=1), flush=True)
