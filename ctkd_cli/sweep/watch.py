"""Where all jobs of a sweep are, from the status.json of each: on this machine or on others that
share the folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from ctkd_cli.runs.rundir import last_word, metrics_of
from ctkd_cli.sweep.job import of_job, settings, shortened, typed, varied
from ctkd_cli.tasks.metric import MACRO_F1, Metric, described


@dataclass(frozen=True)
class Sight:
    """A job as it was last seen. status: as Job's. left: seconds, None when nothing is known;
    at_least: stages that it has not come to are not counted. silent: seconds without a word."""

    name: str
    status: str
    reason: str = ""
    overrides: tuple[str, ...] = ()
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    stage: str = ""
    done: int = 0
    total: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    metric: Metric = MACRO_F1
    left: float | None = None
    at_least: bool = True
    silent: float = 0.0
    notes: tuple[str, ...] = ()


class Watch:
    """Looks at a sweep's folder. jobs: the overrides of each, by number, where they are known."""

    def __init__(self, directory: Path, jobs: Sequence[Sequence[str]] | None) -> None:
        self._directory = directory
        self._known = {str(number): of_job(job) for number, job in enumerate(jobs or [])}
        self._short = _short(list(self._known.values()))
        self._heard: dict[str, tuple[int, float]] = {}  # when a status was written; when seen first
        self._seen: dict[str, Sight] = {}
        # What an earlier attempt has left does not tell where its jobs are now.
        self._before = {
            folder.name: status
            for folder in self._folders()
            if (status := last_word(folder)).get("status") != "complete"
        }

    @property
    def n_jobs(self) -> int | None:
        return len(self._known) or None

    def look(self) -> list[Sight]:
        """Every job that has begun, in the order of their numbers."""
        for folder in self._folders():
            if (before := self._seen.get(folder.name)) is None or before.status == "running":
                self._look_at(folder)
        usual = _usual([each for each in self._seen.values() if each.status == "complete"])
        found = [_with_rest(sight, usual) for sight in self._seen.values()]
        return sorted(found, key=lambda sight: (len(sight.name), sight.name))

    def name(self, sight: Sight) -> str:
        """The settings in which a job differs from the others, by their short names."""
        own = settings(sight.overrides or self._known.get(sight.name, ()))
        short = self._short or _short([each.overrides for each in self._seen.values()])
        return " ".join(f"{short[key]}={own[key]}" for key in short if key in own) or "as given"

    def _folders(self) -> list[Path]:
        return [path.parent for path in self._directory.glob("*/status.json")]

    def _look_at(self, folder: Path) -> None:
        name, now = folder.name, time.monotonic()
        try:
            written = (folder / "status.json").stat().st_mtime_ns
        except OSError:
            return
        last, since = self._heard.get(name, (0, now))
        if written != last:
            since = now
            self._heard[name] = written, since
        status = last_word(folder)
        if not status or status == self._before.get(name):
            return
        self._seen[name] = _sight(folder, status, now - since)


def _short(jobs: Sequence[Sequence[str]]) -> dict[str, str]:
    """The keys in which jobs differ, seeds last, and their short names."""
    every = [settings(job) for job in jobs]
    seed = ["seed"] if len({each.get("seed") for each in every}) > 1 else []
    return shortened([*varied(every), *seed])


def _sight(folder: Path, status: Mapping[str, Any], silent: float) -> Sight:
    progress = status.get("progress") or {}
    return Sight(
        name=folder.name,
        status=status.get("status", ""),
        reason=status.get("reason", ""),
        overrides=typed(folder),
        seconds=status.get("seconds", 0.0),
        stages=status.get("stages", {}),
        stage=progress.get("stage", ""),
        done=progress.get("done", 0),
        total=progress.get("total", 0),
        figures=progress.get("figures", {}),
        left=progress.get("left"),
        metrics=metrics_of(folder) if status.get("status") == "complete" else {},
        metric=described(status.get("metric")),
        silent=silent,
        notes=tuple(status.get("notes", ())),
    )


def _usual(complete: Sequence[Sight]) -> dict[str, float]:
    """What each stage took, in the middle of the jobs that are complete."""
    took: dict[str, list[float]] = {}
    for sight in complete:
        for stage, seconds in sight.stages.items():
            took.setdefault(stage, []).append(seconds)
    return {stage: median(each) for stage, each in took.items()}


def _with_rest(sight: Sight, usual: Mapping[str, float]) -> Sight:
    """A running job's time left, with the stages that it has not come to where others tell how
    long these take."""
    if sight.status != "running" or not usual:
        return sight
    came_to = {*sight.stages, sight.stage}
    rest = sum(seconds for stage, seconds in usual.items() if stage not in came_to)
    # A stage without a bar says nothing of itself.
    own = usual.get(sight.stage, 0.0) if not sight.done else 0.0
    return replace(sight, left=(sight.left or 0.0) + rest + own, at_least=False)
