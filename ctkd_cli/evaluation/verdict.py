"""The answer in a sentence: did distillation help, and over what?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctkd_cli.evaluation import significance
from ctkd_cli.evaluation.costs import Cost, cost_of, no_dearer
from ctkd_cli.evaluation.settling import unsettled
from ctkd_cli.evaluation.significance import LEVEL, Interval, mcnemar
from ctkd_cli.tasks.metric import MACRO_F1, Metric

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results

OPENINGS = {
    "helped": "Distillation helped",
    "hurt": "Negative transfer: distillation hurt",
    "beaten": "Another way does better than distillation",
    "open": "No gain can be claimed",
}
NAMES = {
    "alone": "student alone",
    "stilts": "the student fine-tuned on the source first (STILTs)",
    "generic_teacher": "a teacher without training on the source",
    "random_teacher": "a random teacher",
    "shuffled_teacher": "a teacher whose outputs are shuffled",
    "label_smoothing": "label smoothing",
    "probe": "a linear probe on the teacher's features",
    "features": "a linear probe on the features of the teacher's untrained backbone",
    "tfidf": "TF-IDF with logistic regression",
    "untuned": "logistic regression on the teacher's untuned body",
    "cut_body": "logistic regression on the student's untuned body",
    "static": "logistic regression on static vectors",
    "setfit": "SetFit with the student's body",
    "setfit_teacher": "SetFit with the teacher's body",
}


@dataclass(frozen=True)
class Dearer:
    """An arm that does better than the distilled student and costs more to use."""

    arm: str
    score: float
    cost: Cost


@dataclass(frozen=True)
class Verdict:
    """control: the best of those that cost no more to use than the student. gain: of distilled over
    it, in what the task is judged by; over_alone: over student-alone, where that is another.
    p_value: of `test`, with one seed. dearer: those that do better and cost more, the best first.
    unsettled: which of the two had not settled when its training ended: nothing is judged then.
    """

    control: str
    distilled: float
    best: float
    gain: Interval
    n_seeds: int
    p_value: float | None
    over_alone: Interval | None = None
    metric: Metric = MACRO_F1
    test: str = "McNemar's test"
    dearer: tuple[Dearer, ...] = ()
    unsettled: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """`helped`; `hurt`: less than student-alone (negative transfer); `beaten`: less than
        another control; or `open`. With one seed, the test must agree; with any number, both must
        have settled."""
        if self.unsettled:
            return "open"
        if self.p_value is not None and self.p_value > 1 - LEVEL:
            return "open"
        if self.gain.low > 0:
            return "helped"
        if (self.over_alone or self.gain).high < 0:
            return "hurt"
        return "beaten" if self.gain.high < 0 else "open"

    @property
    def sentence(self) -> str:
        opening = OPENINGS[self.outcome]
        if self.n_seeds == 1 and self.outcome != "open":
            # Where seeds differ, an interval over examples alone would claim a gain in up to a
            # fifth of cases without any: the sentence must not say more than this seed does.
            opening = f"With this seed, {opening[0].lower()}{opening[1:]}"
        control = NAMES.get(self.control, self.control)
        more = ""
        if self.outcome == "hurt" and self.over_alone:
            more = f"; over student alone {_told(self.over_alone)}"
        instead = f" Take {control} instead." if self.outcome in ("hurt", "beaten") else ""
        return (
            f"{opening}: {self.metric.title} {self.distilled:.3f} against {self.best:.3f} for "
            f"{control}, the best that costs no more to use; gain {_told(self.gain)}{more}"
            f"{self._why}.{instead}"
        )

    @property
    def second(self) -> str:
        """What does better and costs more to use; "" where nothing does."""
        if not self.dearer:
            return ""
        first, *others = self.dearer
        also = ", ".join(f"{NAMES.get(each.arm, each.arm)} {each.score:.3f}" for each in others)
        return (
            f"Dearer to use, and better: {NAMES.get(first.arm, first.arm)} with {first.score:.3f} "
            f"({first.cost.told}){f'; also {also}' if also else ''}."
        )

    @property
    def _why(self) -> str:
        """Why no gain is claimed although the interval lies on one side of 0."""
        if self.unsettled:
            told = {**NAMES, "distilled": "the distilled student"}
            names = " and ".join(told.get(arm, arm) for arm in self.unsettled)
            return f"; but {names} had not settled when training ended: more steps would tell"
        if self.outcome != "open" or self.gain.low <= 0 <= self.gain.high:
            return ""
        return f"; but {self.test} gives p = {self.p_value:.3f}, and 0.05 is asked for"

    @property
    def caution(self) -> str:
        """What the interval does not cover; "" when it covers seeds and examples."""
        if self.n_seeds > 1:
            return ""
        return (
            "One seed: the interval covers the choice of test examples only, not initialisation, "
            "order or the labelled subset. Try seeds=5."
        )


def best_control(results: Results, over: Sequence[str] | None = None) -> str:
    """The one with the best mean, by name where several are as good; over: by default those that
    cost no more to use than the student."""
    metric = results.metric
    return max(
        sorted(over or no_dearer(results)),
        key=lambda arm: metric.merit(results.mean(arm, metric.name)),
    )


def reach(results: Results, over: Sequence[str] | None = None) -> Verdict:
    """Compare the distilled student with the best of the controls, on the same examples; over:
    controls to compare with, by default those that cost no more to use."""
    metric, control = results.metric, best_control(results, over)
    first, second = results.statistics("distilled"), results.statistics(control)
    over_alone = None
    if "alone" in (over or results.controls) and control != "alone":
        over_alone = reach(results, ["alone"]).gain
    return Verdict(
        control=control,
        distilled=results.mean("distilled", metric.name),
        best=results.mean(control, metric.name),
        gain=significance.gain(metric, first, second, results.groups()),
        n_seeds=len(first),
        p_value=paired_p_value(results, control) if len(first) == 1 else None,
        over_alone=over_alone,
        metric=metric,
        test="a paired randomisation test" if results.several else "McNemar's test",
        dearer=() if over else dearer_and_better(results),
        unsettled=unsettled(results, ("distilled", control)),
    )


def dearer_and_better(results: Results) -> tuple[Dearer, ...]:
    """Controls that cost more to use than the student and have a better mean, the best first."""
    metric, cheap = results.metric, no_dearer(results)
    means = {arm: results.mean(arm, metric.name) for arm in ("distilled", *results.controls)}
    found = [
        Dearer(arm, means[arm], cost_of(results, arm))
        for arm in results.controls
        if arm not in cheap and metric.gain(means[arm], means["distilled"]) > 0
    ]
    return tuple(sorted(found, key=lambda each: -metric.merit(each.score)))


def paired_p_value(results: Results, control: str) -> float:
    """That the distilled student and a control are as good, with the first seed: McNemar's exact
    test where examples have one label each, else a paired randomisation of whole examples."""
    if results.several:
        first, second = (results.statistics(arm)[0] for arm in ("distilled", control))
        return significance.randomisation(results.metric, first, second, results.groups())
    gold = results.gold_rows()
    return mcnemar(gold, *(results.predicted_rows(arm)[0] for arm in ("distilled", control)))


def _told(gain: Interval) -> str:
    return f"{gain.estimate:+.3f} (95% interval {gain.low:+.3f} to {gain.high:+.3f})"
