"""The answer in a sentence: did distillation help, and over what?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctkd_cli.evaluation import significance
from ctkd_cli.evaluation.significance import LEVEL, Interval, mcnemar

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
}


@dataclass(frozen=True)
class Verdict:
    """gain: distilled minus the best control, in macro-F1; over_alone: minus student-alone, where
    that is another. p_value: McNemar's, with one seed."""

    control: str
    distilled: float
    best: float
    gain: Interval
    n_seeds: int
    p_value: float | None
    over_alone: Interval | None = None

    @property
    def outcome(self) -> str:
        """`helped`; `hurt`: less than student-alone (negative transfer); `beaten`: less than
        another control; or `open`. With one seed, McNemar's test must agree."""
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
        return (
            f"{opening}: macro-F1 {self.distilled:.3f} against {self.best:.3f} for {control}, "
            f"the best control; gain {_told(self.gain)}{more}."
        )

    @property
    def caution(self) -> str:
        """What the interval does not cover; "" when it covers seeds and examples."""
        if self.n_seeds > 1:
            return ""
        return (
            "One seed: the interval covers the choice of test examples only, not initialisation, "
            "order or the labelled subset. Try seeds=5."
        )


def reach(results: Results, over: Sequence[str] | None = None) -> Verdict:
    """Compare the distilled student with the best of the controls, on the same examples; over:
    controls to compare with, by default all."""
    means = {arm: results.mean(arm, "macro_f1") for arm in over or results.controls}
    control = max(sorted(means), key=lambda arm: means[arm])
    gold = results.gold_rows("distilled")
    first, second = results.predicted_rows("distilled"), results.predicted_rows(control)
    gain = significance.gain(gold, first, second, len(results.labels("distilled")))
    n_seeds = len(first)
    over_alone = None
    if "alone" in means and control != "alone":
        over_alone = reach(results, ["alone"]).gain
    return Verdict(
        control=control,
        distilled=results.mean("distilled", "macro_f1"),
        best=means[control],
        gain=gain,
        n_seeds=n_seeds,
        p_value=mcnemar(gold, first[0], second[0]) if n_seeds == 1 else None,
        over_alone=over_alone,
    )


def _told(gain: Interval) -> str:
    return f"{gain.estimate:+.3f} (95% interval {gain.low:+.3f} to {gain.high:+.3f})"
