"""How many labels distillation saves: how many more the student alone needs for the same score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ctkd_cli.evaluation.significance import LEVEL

RESAMPLES = 2_000


@dataclass(frozen=True)
class Saved:
    """At `labels` per class the distilled student reaches `score`; alone it needs `needed` per
    class, inf when no point of the curve is enough. low, high: interval of `needed` over seeds."""

    labels: float
    score: float
    needed: float
    low: float
    high: float

    @property
    def factor(self) -> float:
        """How many times fewer labels distillation needs."""
        return self.needed / self.labels


def labels_saved(
    labels: Sequence[float],
    alone: Mapping[int, Sequence[float]],
    distilled: Mapping[int, Sequence[float]],
) -> list[Saved]:
    """One answer per point of the curve but the last.

    labels: [P] per class, rising. alone, distilled: by seed, [P] scores, paired. The interval is a
    percentile bootstrap over seeds, each with both of its curves; with one seed there is none
    (NaN).
    """
    seeds = sorted(alone)
    first = np.array([alone[seed] for seed in seeds])
    second = np.array([distilled[seed] for seed in seeds])
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, len(seeds), len(seeds)) for _ in range(RESAMPLES)]
    found = []
    for point, n in enumerate(labels[:-1]):
        score = float(second[:, point].mean())
        low = high = float("nan")
        if len(seeds) > 1:
            needs = [
                needed(labels, first[rows].mean(axis=0), float(second[rows, point].mean()))
                for rows in drawn
            ]
            tail = (1 - LEVEL) / 2
            low, high = np.quantile(needs, [tail, 1 - tail], method="inverted_cdf")
        found.append(
            Saved(n, score, needed(labels, first.mean(axis=0), score), float(low), float(high))
        )
    return found


def needed(labels: Sequence[float], scores: Sequence[float] | np.ndarray, score: float) -> float:
    """How many labels per class a curve needs for a score: where it first gets there, linear in
    log(labels) between its points. inf when it never does; its first point's when it is there from
    the start."""
    for place, (n, reached) in enumerate(zip(labels, scores, strict=True)):
        if reached >= score:
            if place == 0:
                return float(n)
            before, there = labels[place - 1], scores[place - 1]
            share = (score - there) / (reached - there)
            return float(np.exp(np.log(before) + share * (np.log(n) - np.log(before))))
    return float("inf")
