"""The gain of runs that differ in their seed alone, judged as one run of all seeds would be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.evaluation.significance import Interval, gain, possible, t_interval
from ctkd_cli.evaluation.verdict import best_control

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results


def pooled_gain(runs: Mapping[int, Results]) -> Interval:
    """Of the distilled student over the best control of each run; runs: that of each seed.

    Where runs have different test sets no examples are paired, and the seeds alone tell.
    """
    seeds = sorted(runs)
    metric, controls = runs[seeds[0]].metric, {run: best_control(run) for run in {*runs.values()}}
    if len({run.test_set for run in controls}) > 1:
        differences = [
            metric.gain(*(runs[seed].scores[arm][seed][metric.name] for arm in arms))
            for seed in seeds
            for arms in [("distilled", controls[runs[seed]])]
        ]
        return possible(t_interval(differences), metric)
    ids = runs[seeds[0]].ids()
    found = {
        run: [run.statistics(arm, ids) for arm in ("distilled", control)]
        for run, control in controls.items()
    }
    places = {seed: runs[seed].seeds("distilled").index(seed) for seed in seeds}
    distilled, best = (
        np.stack([found[runs[seed]][arm][places[seed]] for seed in seeds]) for arm in (0, 1)
    )
    return gain(metric, distilled, best, runs[seeds[0]].groups(ids))
