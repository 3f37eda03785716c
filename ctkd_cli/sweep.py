"""Many runs: one table, grouped over seeds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ctkd_cli.evaluation.significance import t_interval
from ctkd_cli.printable import printable_lines
from ctkd_cli.rundir import write_atomically

METRICS = ("alone/macro_f1", "distilled/macro_f1", "gain/macro_f1", "distilled/accuracy")


@dataclass(frozen=True)
class Job:
    """A job of a sweep, read from its own files."""

    name: str
    status: str
    reason: str
    settings: Mapping[str, str]  # what this job was asked for, as typed
    metrics: Mapping[str, float]


def summarise(directory: Path) -> list[Job]:
    """Write sweep.csv, print the table, and return the jobs that failed."""
    jobs = read(directory)
    write_atomically(directory / "sweep.csv", _csv(jobs))
    _print(directory, jobs)
    return [job for job in jobs if job.status != "complete"]


def read(directory: Path) -> list[Job]:
    """The jobs that began, in the order of their numbers."""
    folders = [path.parent for path in directory.glob("*/status.json")]
    return [_read_job(folder) for folder in sorted(folders, key=lambda f: (len(f.name), f.name))]


def _read_job(folder: Path) -> Job:
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    metrics = folder / "metrics.json"
    overrides = folder / "overrides.yaml"
    typed = yaml.safe_load(overrides.read_text(encoding="utf-8")) if overrides.exists() else []
    return Job(
        name=folder.name,
        status=status["status"],
        reason=status.get("reason", ""),
        settings=dict(o.lstrip("+").partition("=")[::2] for o in typed),
        metrics=json.loads(metrics.read_text(encoding="utf-8")) if metrics.exists() else {},
    )


def _csv(jobs: list[Job]) -> str:
    keys = list(dict.fromkeys(key for job in jobs for key in job.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "status", *keys, *METRICS, "reason"])
    for job in jobs:
        settings = (job.settings.get(key, "") for key in keys)
        figures = (job.metrics.get(metric, "") for metric in METRICS)
        writer.writerow([job.name, job.status, *settings, *figures, job.reason])
    return text.getvalue()


def _print(directory: Path, jobs: list[Job]) -> None:
    """Means over seeds, with the paired gain and its t-interval."""
    groups: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in jobs:
        if job.status == "complete":
            settings = tuple((k, v) for k, v in job.settings.items() if k != "seed")
            groups.setdefault(settings, []).append(job)
    common = set.intersection(*(set(settings) for settings in groups)) if len(groups) > 1 else set()
    console = Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("settings")
    for title in ("seeds", "alone", "distilled", "gain over best control"):
        table.add_column(title, justify="right")
    for settings, members in groups.items():
        name = " ".join(f"{k}={v}" for k, v in settings if (k, v) not in common) or "as given"
        alone, distilled, gain = (
            t_interval([job.metrics[metric] for job in members]) for metric in METRICS[:3]
        )
        spread = f" ({gain.low:+.3f} to {gain.high:+.3f})" if len(members) > 1 else ""
        table.add_row(
            Text(printable_lines(name)), str(len(members)),
            f"{alone.estimate:.3f}", f"{distilled.estimate:.3f}",
            f"{gain.estimate:+.3f}{spread}",
        )  # fmt: skip
    console.print()
    console.print(Text("Macro-F1 on target test, means over seeds, 95% t-interval", style="bold"))
    console.print(table)
    for job in jobs:
        if job.status != "complete":
            console.print(
                Text(printable_lines(f"job {job.name} {job.status}: {job.reason}"), style="red")
            )
    console.print(Text(f"table: {directory}/sweep.csv"), soft_wrap=True)
