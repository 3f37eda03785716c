"""A job of a sweep, and jobs that belong together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from ctkd_cli.errors import InputError
from ctkd_cli.evaluation.significance import Interval, careful, possible, t_interval
from ctkd_cli.runs.rundir import last_word
from ctkd_cli.tasks.metric import MACRO_F1, Metric, described

NOT_BEGUN = "not begun"
LIKELIHOOD = described(
    {"name": "log_likelihood", "title": "log-likelihood", "higher_is_better": True,
     "bounds": (-np.inf, 0.0)}
)  # fmt: skip
PRUNED = "pruned"  # by a search, as hopeless


@dataclass(frozen=True)
class Job:
    """A job, read from its own files. status: complete, failed, interrupted, running; killed when
    its process is gone; or NOT_BEGUN. overrides: what it was asked for, as typed. metrics: of
    metrics.json. metric: what it is judged by. directory: where its files lie."""

    name: str
    status: str
    reason: str = ""
    overrides: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    metric: Metric = MACRO_F1
    directory: Path = Path()

    @classmethod
    def read(cls, folder: Path) -> Job:
        found = last_word(folder)
        status, reason = found.get("status", "damaged"), found.get("reason", "")
        if "status" not in found:
            reason = "status.json is damaged"
        metrics: dict[str, float] = {}
        if status == "complete":
            try:
                metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                status, reason = "damaged", "metrics.json is missing or damaged"
        metric = described(found.get("metric"))
        return cls(folder.name, status, reason, typed(folder), metrics, metric, folder)

    @cached_property
    def settings(self) -> dict[str, str]:
        """Key -> value, as typed."""
        return settings(self.overrides)

    @property
    def ended(self) -> bool:
        return self.status == "complete"

    @property
    def failed(self) -> bool:
        """Whether it should have ended and did not; a search gives up some on purpose."""
        return self.status not in ("complete", PRUNED)

    @property
    def gain(self) -> Interval:
        """Over the best control, as the run itself has found it."""
        name = f"gain/{self.metric.name}"
        low, high = (self.metrics.get(f"{name}_{end}", np.nan) for end in ("low", "high"))
        return Interval(self.metrics[name], low, high)

    def of_seeds(self, arm: str) -> dict[int, float]:
        """What an arm is judged by, by seed."""
        pattern = re.compile(rf"{re.escape(arm)}/seed=(\d+)/{re.escape(self.metric.name)}")
        found = ((pattern.fullmatch(key), value) for key, value in self.metrics.items())
        return {int(match[1]): value for match, value in found if match}


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed only. name: the settings in which groups differ."""

    settings: Mapping[str, str]
    name: str
    jobs: tuple[Job, ...]

    @property
    def metric(self) -> Metric:
        return self.jobs[0].metric

    def mean(self, figure: str) -> float:
        return float(np.mean([job.metrics[figure] for job in self.jobs]))

    def score(self, arm: str) -> float:
        """The mean of what an arm is judged by."""
        return self.mean(f"{arm}/{self.metric.name}")

    def of_seeds(self, arm: str) -> dict[int, float]:
        return {seed: value for job in self.jobs for seed, value in job.of_seeds(arm).items()}

    @property
    def n_seeds(self) -> int:
        return len(self.of_seeds("distilled")) or len(self.jobs)

    def unseen(self, metric: Metric) -> float | None:
        """The distilled student's score, by a metric that settings may be chosen by, on labelled
        examples that it has not learnt from: by log-likelihood over folds of the labelled ones,
        else on validation. None when a job has none."""
        what = "cross_validated" if metric is LIKELIHOOD else "validation"
        figure = f"distilled/{what}_{metric.name}"
        return self.mean(figure) if all(figure in job.metrics for job in self.jobs) else None

    @cached_property
    def gain(self) -> Interval:
        """Over the best control: as one run of all their seeds would have it. Where answers were
        taken away, Student's t over the jobs and the mean of their own intervals, which is no
        narrower."""
        (first, *others) = self.jobs
        if not others:
            return first.gain
        from ctkd_cli.evaluation.across_runs import pooled_gain
        from ctkd_cli.evaluation.results import Results

        try:
            runs = [Results.read(job.directory) for job in self.jobs]
        except InputError:
            gains = [job.gain for job in self.jobs]
            seeds = possible(t_interval([each.estimate for each in gains]), self.metric)
            ends = (float(np.mean([getattr(g, end) for g in gains])) for end in ("low", "high"))
            return careful(seeds, Interval(seeds.estimate, *ends))
        return pooled_gain({seed: run for run in runs for seed in run.seeds("distilled")})

    @property
    def labels_per_class(self) -> float:
        """Labels spent per class, those of validation too."""
        spent = self.mean("labels/train") + self.mean("labels/validation")
        return spent / self.mean("labels/classes")


def settings(overrides: Sequence[str]) -> dict[str, str]:
    """Key -> value of overrides as typed."""
    return dict(override.lstrip("+").partition("=")[::2] for override in overrides)


def of_job(overrides: Sequence[str]) -> tuple[str, ...]:
    """The overrides that are a job's own; Hydra's are the sweep's."""
    return tuple(o for o in overrides if not o.lstrip("+").startswith(("hydra.", "hydra/")))


def varied(jobs: Sequence[dict[str, str]]) -> list[str]:
    """The keys in which settings differ, `seed` apart, in the order in which they were typed."""
    keys = dict.fromkeys(key for each in jobs for key in each if key != "seed")
    return [key for key in keys if len({each.get(key) for each in jobs}) > 1]


def named(found: dict[str, str], keys: Sequence[str]) -> str:
    """`loss=kl lambda=1`: the settings under some keys."""
    return " ".join(f"{key}={found[key]}" for key in keys if key in found)


def shortened(keys: Sequence[str]) -> dict[str, str]:
    """Each key by as many of its last parts as tell it from the others."""

    def tail(key: str, n: int) -> str:
        return ".".join(key.split(".")[-n:])

    return {
        key: next(
            tail(key, n)
            for n in range(1, len(key.split(".")) + 1)
            if n == len(key.split(".")) or [tail(k, n) for k in keys].count(tail(key, n)) == 1
        )
        for key in keys
    }


def typed(folder: Path) -> tuple[str, ...]:
    """What a job was asked for; () as long as it has not said so."""
    try:
        found = yaml.safe_load((folder / "overrides.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()
