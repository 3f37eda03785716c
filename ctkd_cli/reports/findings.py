"""What a report concludes beside the verdict: the loss ledger, and what sources brought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctkd_cli.distillation.transfer import judged
from ctkd_cli.evaluation import significance
from ctkd_cli.evaluation.arm_names import STILTS_DISTILLED
from ctkd_cli.evaluation.significance import Interval
from ctkd_cli.evaluation.verdict import reach

if TYPE_CHECKING:
    from ctkd_cli.evaluation.results import Results

IDLE, DROWNING = 0.01, 0.99  # shares of the gradient beyond which a term is warned of


@dataclass(frozen=True)
class Entry:
    """A term of the objective; means over seeds. weight: lambda times the term's own, mean over
    training. first, last: its weighted value, before lambda. share: mean share of the gradient norm
    on the student's features; None when it was never measured."""

    term: str
    weight: float
    first: float
    last: float
    share: float | None
    warning: str = ""


def ledger(results: Results) -> list[Entry]:
    """What each term of the distilled student's objective contributed; [] when it had only one."""
    seeds = [
        [event for event in events if "kd" in event]
        for events in results.steps.get("distilled", [])
    ]
    if not any(seeds):
        return []
    events = [event for of_seed in seeds for event in of_seed]

    def values(figure: str) -> tuple[float, float]:
        first, last = (
            float(np.mean([of_seed[place][figure] for of_seed in seeds])) for place in (0, -1)
        )
        return first, last

    names = [figure.removeprefix("kd/") for figure in events[0] if figure.startswith("kd/")]
    kds = {name: f"/{name}" for name in names} or {results.config["loss"]["name"]: ""}
    measured = [event for event in events if "kd_share" in event]

    def mean(figure: str) -> float | None:
        found = [event[figure] for event in measured]
        return float(np.mean(found)) if found else None

    of_kd = mean("kd_share")
    lambda_ = float(np.mean([event["lambda"] for event in events]))
    entries = [_entry("cross-entropy", 1.0, values("ce"), None if of_kd is None else 1 - of_kd)]
    for name, suffix in kds.items():
        weight = lambda_ * results.weights.get(name, 1.0)
        share = mean(f"kd_share{suffix}")
        entries.append(_entry(name, weight, values(f"kd{suffix}"), share))
    return entries


def _entry(term: str, weight: float, values: tuple[float, float], share: float | None) -> Entry:
    warning = ""
    if share is not None and share < IDLE:
        warning = f"{term} contributes {share:.2%} of the gradient: it does nothing."
    elif share is not None and share > DROWNING:
        warning = f"{term} contributes {share:.1%} of the gradient: it drowns the rest."
    return Entry(term, weight, *values, share, warning)


def conflicts(results: Results) -> float | None:
    """Share of the steps in which the distillation gradient pointed against cross-entropy's; None
    when that was not looked at (on_conflict=keep)."""
    seeds = results.steps.get("distilled", [])
    found = [e["conflict"] for events in seeds for e in events if "conflict" in e]
    return float(np.mean(found)) if found else None


def never_predicted(results: Results, arm: str) -> list[str]:
    """Labels that training holds and an arm answers with nowhere on target test, with any seed."""
    counts = results.facts("target")["counts"]["train"]
    answered = set(np.unique(results.predicted_rows(arm)).tolist())
    labels = enumerate(results.labels(arm))
    return [label for place, label in labels if counts[label] and place not in answered]


def on_top_of_stilts(results: Results) -> Interval | None:
    """Gain that distillation brings a student which has learnt the source first."""
    if not {STILTS_DISTILLED, "stilts"} <= set(results.arms):
        return None
    first, second = (results.statistics(arm) for arm in (STILTS_DISTILLED, "stilts"))
    return significance.gain(results.metric, first, second, results.groups())


def hint_judged(results: Results) -> str:
    """Whether the transfer hints were right: they speak of what a teacher brings a student that is
    otherwise alone, whatever other controls do."""
    over = ["alone"] if "alone" in results.controls else None
    verdict = reach(results, over)
    if verdict.unsettled:
        return "Whether the hint was right is not known: training had not settled."
    return judged(results.hints.values(), verdict.outcome)


def brought(results: Results) -> dict[str, Interval]:
    """By source: the gain of the distilled student over one taught without the source."""
    distilled, groups = results.statistics("distilled"), results.groups()
    return {
        source: significance.gain(results.metric, distilled, results.statistics(arm), groups)
        for arm, source in results.without.items()
    }
