"""What a sweep says in sentences, in the terminal and on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.sweep.job import LIKELIHOOD

if TYPE_CHECKING:
    from ctkd_cli.evaluation.label_curve import Saved
    from ctkd_cli.evaluation.significance import Interval
    from ctkd_cli.sweep.directory import Sweep
    from ctkd_cli.tasks.metric import Metric


def answer(sweep: Sweep) -> str:
    """Which settings are chosen and what test says of them; or why none are."""
    if not sweep.groups:
        return "No job is complete."
    best, n = sweep.best, len(sweep.groups)
    if n == 1:
        return f"Gain over the best control on test: {gained(sweep.groups[0].gain)}."
    if best is None:
        none = all(group.unseen(sweep.metric) is None for group in sweep.groups)
        lack = "these runs have no" if none else "not all runs have a"
        return (
            f"No settings are chosen: {lack} validation split, or labels enough to leave some out, "
            f"and the best of {n} on test would be flattered by the choice. Put a split aside with "
            "target.validation_size=N (examples per class, or a share) and run again."
        )
    equal, metric = len(sweep.equals) - 1, sweep.metric
    others = f" (tied with {equal} more)" if equal else ""
    by, on = sweep.chooses or metric, sweep.chosen_on
    return (
        f"Chosen by {on} among {n} settings{others}: {best.name}. "
        f"{by.title[0].upper()}{by.title[1:]} {sweep.unseen(best):.3f} on {on}, "
        f"{metric.title} {best.score('distilled'):.3f} on test; gain "
        f"over the best control on test {gained(best.gain)}."
    )


def chosen_by(sweep: Sweep, short: bool = False) -> str:
    """The title of the column with what settings are chosen by."""
    if sweep.chooses is LIKELIHOOD:
        return "log-lik." if short else LIKELIHOOD.title
    return "valid." if short else "validation"


def caution(sweep: Sweep) -> str:
    """What the figures do not know; "" for a single group."""
    n = len(sweep.groups)
    if n < 2:
        return ""
    uneven = len({group.n_seeds for group in sweep.groups}) > 1
    seeds = " Not all settings have the same number of seeds." if uneven else ""
    if sweep.best is None:
        return (
            f"Each interval speaks of its own settings: the largest of {n} gains is in part luck."
            f"{seeds}"
        )
    return (
        "Test had no part in the choice, but both splits judged the same trained students, and the "
        f"best of {n} is in part luck with seeds: run the chosen settings with other seeds before "
        f"you rely on the interval.{seeds}"
    )


def counted(sweep: Sweep) -> str:
    """`12 jobs: 10 complete, 2 failed`."""
    counts: dict[str, int] = {}
    for job in sweep.jobs:
        counts[job.status] = counts.get(job.status, 0) + 1
    told = ", ".join(f"{n} {status}" for status, n in counts.items())
    return f"{len(sweep.jobs)} jobs: {told}" if told else "no jobs"


def gained(gain: Interval) -> str:
    """`+0.050 (95% interval +0.010 to +0.090)`."""
    return f"{gain.estimate:+.3f}" + (f" (95% interval {spread(gain)})" if spread(gain) else "")


def spread(gain: Interval) -> str:
    """`+0.010 to +0.090`; "" when there is no interval."""
    return "" if np.isnan(gain.low) else f"{gain.low:+.3f} to {gain.high:+.3f}"


def saving(saved: Saved, metric: Metric) -> str:
    """What distillation saves at one point of a label curve."""
    reached = f"{metric.title} {saved.score:.3f}"
    opening = f"{saved.labels:.0f} labels per class, distilled: {reached}; alone "
    if np.isinf(saved.needed):
        return f"{opening}never gets there on this curve"
    interval = (
        ""
        if np.isnan(saved.low)
        else f" (95% interval {labels(saved.low)} to {labels(saved.high)})"
    )
    if saved.factor <= 1:
        return f"{opening}needs no more"
    return f"{opening}needs {saved.needed:.0f}{interval}: {saved.factor:.1f} times as many"


def labels(n: float) -> str:
    """A number of labels per class that may lie beyond the curve."""
    return "more than all" if np.isinf(n) else f"{n:.0f}"
