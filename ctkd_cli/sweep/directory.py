"""A sweep's directory: what was asked for, and what came of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ctkd_cli.runs.rundir import SWEEP_FILE
from ctkd_cli.sweep.job import LIKELIHOOD, NOT_BEGUN, Group, Job, named, of_job, varied
from ctkd_cli.tasks.metric import MACRO_F1, Metric

MANY = 20  # groups, beyond which the first ones are those that are looked at


@dataclass(frozen=True)
class Sweep:
    """Reads lazily, from the files of the jobs alone."""

    directory: Path

    @cached_property
    def asked(self) -> dict[str, Any]:
        """sweep.yaml: `overrides`, `config_dir`, and `jobs` where they are known beforehand."""
        try:
            found = yaml.safe_load((self.directory / SWEEP_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def jobs(self) -> list[Job]:
        """In the order of their numbers; those that never began too, where they are known."""
        folders = [path.parent for path in self.directory.glob("*/status.json")]
        begun = {folder.name: Job.read(folder) for folder in folders}
        known = {str(n): of_job(job) for n, job in enumerate(self.asked.get("jobs") or [])}
        if begun.keys() <= known.keys():  # else the user has named the folders
            for name in known.keys() - begun.keys():
                begun[name] = Job(name, NOT_BEGUN, overrides=known[name])
        return sorted(begun.values(), key=lambda job: (len(job.name), job.name))

    @cached_property
    def failed(self) -> list[Job]:
        return [job for job in self.jobs if job.failed]

    @cached_property
    def varied(self) -> list[str]:
        """The keys in which jobs differ, seeds apart."""
        return varied([job.settings for job in self.jobs])

    @cached_property
    def groups(self) -> list[Group]:
        """Complete jobs, grouped over seeds."""
        found: dict[tuple[tuple[str, str], ...], list[Job]] = {}
        for job in self.jobs:
            if job.ended:
                key = tuple((k, v) for k, v in job.settings.items() if k != "seed")
                found.setdefault(key, []).append(job)
        return [
            Group(dict(key), named(dict(key), self.varied) or "as given", tuple(jobs))
            for key, jobs in found.items()
        ]

    @property
    def metric(self) -> Metric:
        """What the first complete job is judged by."""
        return self.groups[0].metric if self.groups else MACRO_F1

    @cached_property
    def chooses(self) -> Metric | None:
        """What settings are chosen by, on labelled examples that students have not learnt from;
        None where some groups have no such score."""
        for metric in (LIKELIHOOD, self.metric):
            if all(group.unseen(metric) is not None for group in self.groups):
                return metric
        return None

    @property
    def chosen_on(self) -> str:
        """In words, what they are chosen on."""
        return "left-out labels" if self.chooses is LIKELIHOOD else "validation"

    def unseen(self, group: Group) -> float:
        """A group's score by what settings are chosen by; 0 where there is no such thing."""
        return (group.unseen(self.chooses) if self.chooses else None) or 0.0

    def merit(self, group: Group) -> float:
        """The same, so that more is better."""
        return self.chooses.merit(self.unseen(group)) if self.chooses else 0.0

    @cached_property
    def best(self) -> Group | None:
        """The group that is chosen, the first of equals; None where there is no choice, or nothing
        to make it by. Test has no part in it."""
        if len(self.groups) < 2 or self.chooses is None:
            return None
        return max(self.groups, key=self.merit)

    @property
    def equals(self) -> list[Group]:
        """The groups that cannot be told from the best by what it was chosen by."""
        best = self.best
        return [g for g in self.groups if best is not None and self.merit(g) == self.merit(best)]

    @property
    def ranked(self) -> list[Group]:
        """The groups as they came or, where they are many, the best first."""
        if len(self.groups) <= MANY or self.chooses is None:
            return self.groups
        return sorted(self.groups, key=lambda group: -self.merit(group))

    def command(self, job: Job) -> str:
        """Runs one job again by itself, for a shell."""
        return self._run(*job.overrides)

    @property
    def repeat(self) -> str:
        """Runs all of it again, for a shell."""
        return self._run("-m", *self.asked.get("overrides", []))

    @property
    def resume(self) -> str:
        """Finishes what is not complete, for a shell."""
        return shlex.join(["ctkd", "resume", str(self.directory)])

    def _run(self, *overrides: str) -> str:
        folder = self.asked.get("config_dir")
        config_dir = ["--config-dir", str(folder)] if folder else []
        return shlex.join(["ctkd", "run", *config_dir, *overrides])
