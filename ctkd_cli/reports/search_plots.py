"""Pictures of a search for settings: how it went, and which settings mattered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ctkd_cli.reports.plots import COLOURS, OTHERS, STYLE

if TYPE_CHECKING:
    from optuna.study import Study

    from ctkd_cli.sweep.directory import Sweep
    from ctkd_cli.tasks.metric import Metric

ENOUGH = 4  # complete trials, before anything is said of importance
HISTORY = "Each trial's {} on {}, and the best so far"
IMPORTANCE = (
    "Share of the variation of the score they are chosen by that each setting explains by itself "
    "and with others (fANOVA over {n} trials)"
)


def pictures(sweep: Sweep) -> dict[str, tuple[Figure, str]]:
    """File name -> a picture and what it shows; none where a sweep was no search."""
    from ctkd_cli.sweep.search.best_trials import study_of

    study, metric = study_of(sweep.directory), sweep.chooses or sweep.metric
    if study is None or not _complete(study):
        return {}
    found = {
        "search_history": (
            history(study, metric, sweep.chosen_on),
            HISTORY.format(metric.title, sweep.chosen_on),
        )
    }
    if shares := importances(study):
        words = IMPORTANCE.format(n=len(_complete(study)))
        found["search_importance"] = (importance(shares), words)
    return found


def importances(study: Study) -> dict[str, float]:
    """Share of each setting, the largest first; {} when there is too little to tell."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    scores = [trial.value for trial in _complete(study)]
    if len(scores) < ENOUGH or len(set(scores)) < 2:
        return {}
    return dict(get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0)))


def history(study: Study, metric: Metric, chosen_on: str) -> Figure:
    """Scores, of this metric on what trials are chosen on, over the trials' numbers; pruned ones
    where they were when they ended."""
    complete = _complete(study)
    numbers = [trial.number for trial in complete]
    scores = [metric.merit(trial.value or 0.0) for trial in complete]
    pruned = [
        (trial.number, metric.merit(trial.intermediate_values[max(trial.intermediate_values)]))
        for trial in study.trials
        if trial.state.name == "PRUNED" and trial.intermediate_values
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        best = (np.maximum if metric.higher_is_better else np.minimum).accumulate(scores)
        axes.plot(numbers, best, drawstyle="steps-post", color=COLOURS["distilled"], label="best")
        axes.scatter(numbers, scores, color=COLOURS["distilled"], s=22, label="complete", zorder=3)
        if pruned:
            at, heights = zip(*pruned, strict=True)
            axes.scatter(at, heights, color=OTHERS[3], marker="x", s=26, label="pruned")
        axes.set(title="Search", xlabel="trial", ylabel=f"{metric.title} on {chosen_on}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False, loc="lower right")
    return figure


def importance(shares: dict[str, float]) -> Figure:
    """A bar for each setting."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.2 + 0.42 * len(shares)), layout="constrained")
        axes = figure.subplots()
        names, values = list(shares)[::-1], list(shares.values())[::-1]
        bars = axes.barh(names, values, color=COLOURS["distilled"], height=0.6)
        axes.bar_label(bars, fmt="%.2f", padding=4)
        axes.set(title="What mattered", xlabel="importance", xlim=(0, max(values) * 1.15))
    return figure


def _complete(study: Study) -> list:  # type: ignore[type-arg]
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]
