"""Whether a gain is real: intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ctkd_cli.tasks.metric import Metric

LEVEL = 0.95
RESAMPLES = 10_000
CELLS = 1_000_000  # drawn at a time, to bound memory


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval at LEVEL."""

    estimate: float
    low: float
    high: float


def t_interval(values: Sequence[float]) -> Interval:
    """Mean of one value per seed, with Student's t-interval. NaN bounds for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    error = float(stats.sem(values))
    if error == 0:
        return Interval(mean, mean, mean)
    low, high = stats.t.interval(LEVEL, len(values) - 1, loc=mean, scale=error)
    return Interval(mean, float(low), float(high))


def bootstrap_gain(
    metric: Metric,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    random_state: int = 0,
) -> Interval:
    """Gain of `first` over `second`, with a paired hierarchical bootstrap: seeds are drawn first,
    then test examples (or groups of them), the same ones for both arms.

    first, second: [S, N, C], what the metric counts in each example, seeds and examples paired.
    groups: [N], of each example; None: each by itself. With a single seed the interval covers the
    choice of test examples only. Percentile interval. Raises ValueError when the arms are not
    paired.

    Source: Efron and Tibshirani 1993, ch. 13; seeds and examples as in Bouthillier et al., MLSys
    2021 (arXiv 2103.03098).
    """
    if first.shape != second.shape:
        raise ValueError(f"unpaired arms: {first.shape} and {second.shape}")
    if groups is not None:
        first, second = (_summed(arm, groups) for arm in (first, second))
    generator = np.random.default_rng(random_state)
    n_seeds, n, _ = first.shape
    # Examples in which all count the same are interchangeable: how often each such pattern is
    # drawn is multinomial too, and there are few of them however large N is.
    together = np.concatenate([first, second]).transpose(1, 0, 2).reshape(n, -1)
    _, places, counts = np.unique(together, axis=0, return_index=True, return_counts=True)
    arms = [arm[:, places].astype(np.float32) for arm in (first, second)]

    def scores(arm: np.ndarray, drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Means over the drawn seeds for each of R resamples: [R, P], [R, S] -> [R]."""
        weights = drawn.astype(np.float32)
        total = np.zeros(len(drawn))
        for seed, each in enumerate(arm):
            total += seeds[:, seed] * metric.score(weights @ each)
        return np.asarray(total / seeds.sum(axis=1))

    chunk = max(1, CELLS // len(counts))
    gains = []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        # How often each pattern and each seed is drawn: [size, P], [size, S].
        drawn = generator.multinomial(n, counts / n, size=size)
        seeds = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=size)
        gains.append(metric.gain(*(scores(arm, drawn, seeds) for arm in arms)))
    once = counts[None], np.ones((1, n_seeds), dtype=np.int64)
    observed = metric.gain(*(scores(arm, *once)[0] for arm in arms))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(gains), [tail, 100 - tail])
    return Interval(float(observed), float(low), float(high))


def _summed(statistics: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[S, G, C]: those of each group's examples together."""
    found = np.zeros((len(statistics), int(groups.max()) + 1, statistics.shape[2]))
    for seed, each in enumerate(statistics):
        np.add.at(found[seed], groups, each)
    return found


def gain(
    metric: Metric,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> Interval:
    """Gain of `first` over `second`, both [S, N, C], with an interval that can be trusted with few
    seeds too.

    The bootstrap covers seeds and test examples, but with a handful of seeds its percentiles are
    too narrow for what seeds do (with two, and 2,000 examples, it claims a gain in one case of six
    without any).
    Student's t-interval of the seeds' gains knows how few they are, but takes the test examples
    for granted. At each end the more careful of the two counts. With a single seed there is the
    bootstrap only, and it covers the choice of test examples.
    """
    found = bootstrap_gain(metric, first, second, groups, resamples)
    if len(first) < 2:
        return found
    pairs = zip(first, second, strict=True)
    seeds = t_interval([metric.gain(metric.of(a), metric.of(b)) for a, b in pairs])
    return possible(careful(found, seeds), metric)


def careful(first: Interval, second: Interval) -> Interval:
    """The more careful of two intervals at each end; NaN bounds are none. The first's estimate."""
    low, high = np.fmin(first.low, second.low), np.fmax(first.high, second.high)
    return Interval(first.estimate, float(low), float(high))


def possible(gain: Interval, metric: Metric) -> Interval:
    """The part of an interval that a gain can take: t knows of no ends."""
    span = metric.bounds[1] - metric.bounds[0]
    low, high = np.clip([gain.low, gain.high], -span, span)
    return Interval(gain.estimate, float(low), float(high))


def randomisation(
    metric: Metric,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    random_state: int = 0,
) -> float:
    """Two-sided p-value that two models, [N, C] each, are as good: how often exchanging their
    answers at random, example by example (or group by group), gives a difference as large.

    Source: Noreen 1989; for F1 of entities Yeh, COLING 2000 (arXiv cs/0008005).
    """
    if groups is not None:
        first, second = (_summed(arm[None], groups)[0] for arm in (first, second))
    generator = np.random.default_rng(random_state)
    differs = (first != second).any(axis=1)
    both, one, other = first[~differs].sum(axis=0), first[differs], second[differs]
    observed = abs(metric.of(first) - metric.of(second))
    as_large = 0
    chunk = max(1, CELLS // max(1, len(one)))
    for start in range(0, resamples, chunk):
        swap = generator.random((min(chunk, resamples - start), len(one))) < 0.5
        moved = swap.astype(np.float64) @ (other - one)  # [R, C]
        scores = [
            metric.score(both + one.sum(axis=0) + moved),
            metric.score(both + other.sum(axis=0) - moved),
        ]
        as_large += int((np.abs(scores[0] - scores[1]) >= observed - 1e-12).sum())
    return (1 + as_large) / (1 + resamples)


def mcnemar(gold: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Exact two-sided p-value that two models err equally often; all [N].

    Source: McNemar, Psychometrika 1947; the exact form is a binomial test on the examples that
    only one of the two gets right.
    """
    only_first = int(((first == gold) & (second != gold)).sum())
    only_second = int(((first != gold) & (second == gold)).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for several comparisons. Source: Holm, Scandinavian J. of Stat. 1979."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, largest)
    return [float(value) for value in adjusted]
