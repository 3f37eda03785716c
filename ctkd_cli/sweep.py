"""Many runs: read from their own files, grouped over seeds, told in a table and a page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.text import Text

from ctkd_cli.evaluation.label_curve import Saved, labels_saved
from ctkd_cli.evaluation.significance import Interval, possible, t_interval
from ctkd_cli.printable import printable_lines
from ctkd_cli.reports.terminal import settings_table
from ctkd_cli.rundir import metrics_of, status_of, write_atomically
from ctkd_cli.spreadsheet import inert

METRICS = ("alone/macro_f1", "distilled/macro_f1", "gain/macro_f1", "distilled/accuracy")
LABELS = "target.labels_per_class"  # a sweep over it is a label curve
POINTS = 3  # at least, for a curve


@dataclass(frozen=True)
class Job:
    """A job of a sweep, read from its own files."""

    name: str
    status: str
    reason: str
    settings: Mapping[str, str]  # what this job was asked for, as typed
    metrics: Mapping[str, float]

    def of_seeds(self, arm: str) -> dict[int, float]:
        """An arm's macro-F1, by seed."""
        pattern = re.compile(rf"{arm}/seed=(\d+)/macro_f1")
        found = ((pattern.fullmatch(key), value) for key, value in self.metrics.items())
        return {int(match[1]): value for match, value in found if match}


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed only. name: the settings in which groups differ."""

    settings: Mapping[str, str]
    name: str
    jobs: tuple[Job, ...]

    def mean(self, metric: str) -> float:
        return float(np.mean([job.metrics[metric] for job in self.jobs]))

    def of_seeds(self, arm: str) -> dict[int, float]:
        return {seed: value for job in self.jobs for seed, value in job.of_seeds(arm).items()}

    @property
    def n_seeds(self) -> int:
        return len(self.of_seeds("distilled")) or len(self.jobs)

    @property
    def gain(self) -> Interval:
        """Over the best control: a single job's own interval, else Student's t over the jobs."""
        (first, *others) = self.jobs
        if others:
            return possible(t_interval([job.metrics["gain/macro_f1"] for job in self.jobs]))
        low, high = (first.metrics.get(f"gain/macro_f1_{end}", np.nan) for end in ("low", "high"))
        return Interval(first.metrics["gain/macro_f1"], low, high)

    @property
    def labels_per_class(self) -> float:
        """Labels spent per class, those of validation too."""
        spent = self.mean("labels/train") + self.mean("labels/validation")
        return spent / self.mean("labels/classes")


@dataclass(frozen=True)
class Curve:
    """Macro-F1 over one setting. axis: its key; at: its values, rising; scores: by arm, then seed;
    saved: with labels on the axis, what distillation saves."""

    axis: str
    at: tuple[float, ...]
    scores: Mapping[str, Mapping[int, Sequence[float]]]
    saved: tuple[Saved, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """A sweep's directory."""

    directory: Path

    @cached_property
    def jobs(self) -> list[Job]:
        """The jobs that began, in the order of their numbers."""
        folders = [path.parent for path in self.directory.glob("*/status.json")]
        return [
            _read_job(folder) for folder in sorted(folders, key=lambda f: (len(f.name), f.name))
        ]

    @cached_property
    def failed(self) -> list[Job]:
        return [job for job in self.jobs if job.status != "complete"]

    @cached_property
    def groups(self) -> list[Group]:
        """Complete jobs, grouped over seeds."""
        found: dict[tuple[tuple[str, str], ...], list[Job]] = {}
        asked = []
        for job in self.jobs:
            settings = tuple((k, v) for k, v in job.settings.items() if k != "seed")
            asked.append(settings)
            if job.status == "complete":
                found.setdefault(settings, []).append(job)
        common = set.intersection(*map(set, asked)) if len(set(asked)) > 1 else set()
        return [
            Group(
                settings=dict(settings),
                name=" ".join(f"{k}={v}" for k, v in settings if (k, v) not in common)
                or "as given",
                jobs=tuple(jobs),
            )
            for settings, jobs in found.items()
        ]

    @cached_property
    def curve(self) -> Curve | None:
        """Scores over the one setting in which groups differ, if it is a number."""
        keys = {key for group in self.groups for key in group.settings}
        varied = [k for k in keys if len({g.settings.get(k) for g in self.groups}) > 1]
        if len(self.groups) < POINTS or len(varied) != 1:
            return None
        (axis,) = varied
        try:
            values = [
                group.labels_per_class if axis == LABELS else float(group.settings[axis])
                for group in self.groups
            ]
        except (ValueError, KeyError):
            return None
        # Of points that spend the same labels, since the data has no more, the first stays.
        _, rows = np.unique(values, return_index=True)
        rising = [(values[row], self.groups[row]) for row in rows]
        seeds = set.intersection(*(set(group.of_seeds("distilled")) for _, group in rising))
        scores = {
            arm: {
                seed: [group.of_seeds(arm).get(seed, np.nan) for _, group in rising]
                for seed in sorted(seeds)
            }
            for arm in ("alone", "distilled")
        }
        at = tuple(value for value, _ in rising)
        if len(at) < 2 or not seeds:
            return None
        saved = labels_saved(at, scores["alone"], scores["distilled"]) if axis == LABELS else []
        return Curve(axis, at, scores, tuple(saved))

    @property
    def best(self) -> Group | None:
        """The group with the largest gain over its best control."""
        return max(self.groups, key=lambda group: group.gain.estimate, default=None)


def summarise(directory: Path) -> list[Job]:
    """Write sweep.csv and sweep.html, print the table, and return the jobs that failed."""
    from ctkd_cli.reports import sweep_page

    sweep = Sweep(directory)
    write_atomically(directory / "sweep.csv", _csv(sweep.jobs))
    sweep_page.write(sweep)
    _print(sweep)
    return sweep.failed


def _read_job(folder: Path) -> Job:
    status, metrics = status_of(folder), metrics_of(folder)
    told = str(status.get("status", "damaged"))
    overrides = folder / "overrides.yaml"
    typed = yaml.safe_load(overrides.read_text(encoding="utf-8")) if overrides.exists() else []
    return Job(
        name=folder.name,
        status=told if metrics or told != "complete" else "damaged",
        reason=str(status.get("reason", "")),
        settings=dict(o.lstrip("+").partition("=")[::2] for o in typed),
        metrics=metrics,
    )


def _csv(jobs: list[Job]) -> str:
    keys = list(dict.fromkeys(key for job in jobs for key in job.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "status", *keys, *METRICS, "reason"])
    for job in jobs:
        settings = (inert(job.settings.get(key, "")) for key in keys)
        figures = (job.metrics.get(metric, "") for metric in METRICS)
        reason = "; ".join(line.strip() for line in job.reason.splitlines() if line.strip())
        writer.writerow([job.name, job.status, *settings, *figures, inert(reason)])
    return text.getvalue()


def _print(sweep: Sweep) -> None:
    """Means over seeds, with the gain and its interval; and what labels were saved."""
    console = Console()
    rows = []
    for group in sweep.groups:
        gain = group.gain
        spread = "" if np.isnan(gain.low) else f" ({gain.low:+.3f} to {gain.high:+.3f})"
        means = (f"{group.mean(f'{arm}/macro_f1'):.3f}" for arm in ("alone", "distilled"))
        rows.append([group.name, str(group.n_seeds), *means, f"{gain.estimate:+.3f}{spread}"])
    titles = ["settings", "seeds", "alone", "distilled", "gain (95% interval)"]
    console.print()
    console.print(Text("Macro-F1 on target test, means over seeds, 95% intervals", style="bold"))
    console.print(settings_table(titles, rows))
    for saved in sweep.curve.saved if sweep.curve else ():
        console.print(Text(in_words(saved)))
    for job in sweep.failed:
        console.print(
            Text(printable_lines(f"job {job.name} {job.status}: {job.reason}"), style="red")
        )
    console.print(Text(f"table: {sweep.directory}/sweep.csv"), soft_wrap=True)
    console.print(Text(f"page:  {sweep.directory}/sweep.html"), soft_wrap=True)


def in_words(saved: Saved) -> str:
    """What distillation saves at one point of a label curve."""
    opening = f"{saved.labels:.0f} labels per class, distilled: macro-F1 {saved.score:.3f}; alone "
    if np.isinf(saved.needed):
        return f"{opening}never gets there on this curve"
    spread = (
        ""
        if np.isnan(saved.low)
        else f" (95% interval {labels(saved.low)} to {labels(saved.high)})"
    )
    if saved.factor <= 1:
        return f"{opening}needs no more"
    return f"{opening}needs {saved.needed:.0f}{spread}: {saved.factor:.1f} times as many"


def labels(n: float) -> str:
    """A number of labels per class that may lie beyond the curve."""
    return "more than all" if np.isinf(n) else f"{n:.0f}"
