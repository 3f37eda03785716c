"""In a trial's job: passes its scores on validation to the study, and ends it when hopeless."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ctkd_cli.errors import Pruned
from ctkd_cli.evaluation.metrics import SELECTS
from ctkd_cli.sweep.search.study import open_study
from ctkd_cli.tasks.metric import MACRO_F1, described


def judge_of(settings: Mapping[str, Any], directory: Path, number: int, seeds: int) -> Judge:
    """The judge of a trial's run. directory: the sweep's; seeds: how many the run takes."""
    from optuna.trial import Trial

    study = open_study(settings, directory)
    (trial,) = (each for each in study.trials if each.number == number)
    return Judge(Trial(study, trial._trial_id), seeds)


class Judge:
    """Listens to a run with enough validation examples, and raises Pruned. Reports the mean over
    the seeds so far: each time the distilled student's validation is read in training, and when
    its training has ended."""

    def __init__(self, trial: Any, seeds: int) -> None:
        self._trial = trial
        self._seeds = seeds
        self._metric = MACRO_F1
        self._n_validation = 0
        self._ended: list[float] = []  # scores of the seeds that are done
        self._reports = 0
        self._reported = set(trial.storage.get_trial(trial._trial_id).intermediate_values)

    def __call__(self, line: Mapping[str, Any]) -> None:
        if line["event"] == "facts" and line.get("role") == "target":
            self._metric = described(line["metric"])
            self._n_validation = sum(line["counts"]["validation"].values())
        if self._n_validation < SELECTS:
            return  # too few to say that a trial is hopeless
        if line.get("arm") != "distilled" or line["event"] not in ("validated", "validation"):
            return
        now = self._metric.merit(line[self._metric.name])
        score = float(np.mean([*self._ended, now]))
        if line["event"] == "validation":
            self._ended.append(now)
        step, self._reports = self._reports, self._reports + 1
        if step not in self._reported:  # by an attempt before, which was interrupted
            self._trial.report(score, step)
        if len(self._ended) < self._seeds and self._trial.should_prune():
            title, told = self._metric.title, self._metric.merit(score)
            raise Pruned(f"validation {title} {told:.3f} is worse than the median of other trials")
