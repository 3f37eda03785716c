"""Would I deploy it? The student against its teacher: score against speed and size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.evaluation import significance
from ctkd_cli.evaluation.arm_names import AS_TEACHER
from ctkd_cli.evaluation.costs import cost_of
from ctkd_cli.evaluation.verdict import best_control, reach
from ctkd_cli.reports.arm_titles import name_of

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results
    from ctkd_cli.evaluation.verdict import Verdict
    from ctkd_cli.tasks.metric import Metric

WORTH = 0.02  # of the range of scores: what a smaller model may lose and be deployed all the same
FASTER = 1.2  # times as many examples per second
CROWDED = 1.0  # load average above the number of cores: other work was waiting too


def recommend(results: Results, verdict: Verdict) -> str:
    """One recommendation in a sentence or two. The student is recommended unless an arm of its own
    size is better for certain, or one as large as the teacher is by more than WORTH; where that one
    only seems to be, nothing is."""
    small = [arm for arm in results.controls if not cost_of(results, arm).dearer]
    large = [arm for arm in AS_TEACHER if arm in results.arms and arm not in small]
    metric = results.metric
    if (chosen := results.chosen["arm"]) != "distilled":
        return (
            f"Deploy student/: it holds {name_of(chosen)}, {_told(results, chosen, 'student')}, "
            f"chosen by {results.chosen['by']}.{_measured(results)}"
        )
    student = _told(results, "distilled", "student")
    if small:
        same = verdict if verdict.control in small else reach(results, small)
        if same.outcome in ("hurt", "beaten"):
            return (
                f"Do not deploy this student, {student}: at no higher cost, "
                f"{name_of(same.control)} has {same.best:.3f}.{_measured(results)}"
            )
    if not large:
        return f"Deploy the student: {student}.{_measured(results)}"
    rival = best_control(results, large)
    teacher = f"{name_of(rival)} ({_told(results, rival, 'teacher')})"
    first, second = (results.statistics(arm) for arm in (rival, "distilled"))
    ahead = significance.gain(metric, first, second, results.groups())
    if ahead.low > WORTH * _range(metric, second):
        dear = " where you can afford it" if _faster(results) else ""
        return (
            f"Deploy the teacher{dear}: {teacher}; the student, {student}, loses "
            f"{ahead.estimate:.3f} (95% interval {ahead.low:.3f} to {ahead.high:.3f})."
            f"{_measured(results)}"
        )
    both = f"{student}; the best of the teacher's size: {teacher}"
    if ahead.estimate > WORTH * _range(metric, second):
        return (
            f"Undecided between student and teacher. The student: {both}. It loses "
            f"{ahead.estimate:.3f}, and this test is too small to be sure of that (95% interval "
            f"{ahead.low:+.3f} to {ahead.high:+.3f}).{_measured(results)}"
        )
    return f"Deploy the student: {both}.{_measured(results)}"


def _range(metric: Metric, statistics: np.ndarray) -> float:
    """From the worst score to the best; where there is no worst, the student's own."""
    low, high = metric.bounds
    span = high - low
    return span if np.isfinite(span) else abs(float(np.mean([*map(metric.of, statistics)])))


def _told(results: Results, arm: str, model: str) -> str:
    """`accuracy 0.953 at 403 examples/s, 67 MB`."""
    metric = results.metric
    score = f"{metric.title} {results.mean(arm, metric.name):.3f}"
    if not (cost := results.efficiency.get(model)):
        return score
    return f"{score} at {cost['throughput']:.0f} examples/s, {cost['megabytes']:.0f} MB"


def _faster(results: Results) -> bool:
    """Whether the student is, by more than measurements differ; so it is taken to be unmeasured."""
    cost = results.efficiency
    return not cost or cost["student"]["throughput"] > FASTER * cost["teacher"]["throughput"]


def _measured(results: Results) -> str:
    """How loaded the machine was; "" where that was not noted."""
    cores = results.environment["hardware"]["cores"]
    told = load_told(results.efficiency, cores)
    return f" Speeds: {told}." if told else ""


def load_told(cost: Mapping[str, Mapping[str, float]], cores: int) -> str:
    """The load average when speeds were measured, and whether other work stood in the way."""
    load = cost.get("student", {}).get("load")
    if load is None:
        return ""
    busy = "; a busy machine, measure again on an idle one" if load > cores + CROWDED else ""
    return f"load average {load:.1f} on {cores} cores{busy}"
