"""Whether a gain is real: intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ctkd_cli.evaluation.metrics import macro_f1

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
    gold: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    n_labels: int,
    resamples: int = RESAMPLES,
    random_state: int = 0,
) -> Interval:
    """Gain in macro-F1 of `first` over `second`, with a paired hierarchical bootstrap: seeds are
    drawn first, then test examples, the same ones for both arms.

    gold: [N] label indices. first, second: [S, N] predictions, one row per seed, paired. With a
    single seed the interval covers the choice of test examples only. Percentile interval. Raises
    ValueError when the arms are not paired.

    Source: Efron and Tibshirani 1993, ch. 13; seeds and examples as in Bouthillier et al., MLSys
    2021 (arXiv 2103.03098).
    """
    if first.shape != second.shape or first.shape[1:] != gold.shape:
        raise ValueError(f"unpaired: gold {gold.shape}, arms {first.shape} and {second.shape}")
    generator = np.random.default_rng(random_state)
    n_seeds, n = first.shape
    # Examples with the same gold label and the same predictions are interchangeable: how often
    # each such pattern is drawn is multinomial too, and there are few of them however large N is.
    patterns, counts = np.unique(
        np.column_stack([gold, first.T, second.T]), axis=0, return_counts=True
    )
    gold = patterns[:, 0]
    first, second = np.split(patterns[:, 1:].T, 2)
    arms = [_Counts.of(gold, arm, n_labels) for arm in (first, second)]
    chunk = max(1, CELLS // len(counts))
    gains = []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        # How often each pattern and each seed is drawn: [size, P], [size, S].
        drawn = generator.multinomial(n, counts / n, size=size)
        seeds = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=size)
        scores = [arm.macro_f1(drawn, seeds) for arm in arms]
        gains.append(scores[0] - scores[1])
    once = counts[None], np.ones((1, n_seeds), dtype=np.int64)
    observed = [arm.macro_f1(*once)[0] for arm in arms]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(gains), [tail, 100 - tail])
    return Interval(float(observed[0] - observed[1]), float(low), float(high))


def gain(
    gold: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    n_labels: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Gain in macro-F1 of `first` over `second`, both [S, N], with an interval that can be trusted
    with few seeds too.

    The bootstrap covers seeds and test examples, but with a handful of seeds its percentiles are
    too narrow for what seeds do (with two, and 2,000 examples, it claims a gain in one case of six
    without any).
    Student's t-interval of the seeds' gains knows how few they are, but takes the test examples
    for granted. At each end the more careful of the two counts. With a single seed there is the
    bootstrap only, and it covers the choice of test examples.
    """
    found = bootstrap_gain(gold, first, second, n_labels, resamples)
    if len(first) < 2:
        return found
    seeds = t_interval(
        [macro_f1(gold, a, n_labels) - macro_f1(gold, b, n_labels)
         for a, b in zip(first, second, strict=True)]
    )  # fmt: skip
    return possible(
        Interval(found.estimate, min(found.low, seeds.low), max(found.high, seeds.high))
    )


def possible(gain: Interval) -> Interval:
    """The part of an interval that a gain in F1 can take: t knows of no ends."""
    low, high = np.clip([gain.low, gain.high], -1, 1)
    return Interval(gain.estimate, float(low), float(high))


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


@dataclass(frozen=True)
class _Counts:
    """What macro-F1 counts, per pattern: gold [P, K]; predicted, hits: one [P, K] per seed."""

    gold: np.ndarray
    predicted: list[np.ndarray]
    hits: list[np.ndarray]

    @classmethod
    def of(cls, gold: np.ndarray, predicted: np.ndarray, n_labels: int) -> _Counts:
        one_hot = np.eye(n_labels, dtype=np.float32)
        return cls(
            gold=one_hot[gold],
            predicted=[one_hot[row] for row in predicted],
            hits=[one_hot[row] * (row == gold)[:, None] for row in predicted],
        )

    def macro_f1(self, drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Mean macro-F1 over the drawn seeds, for each of R resamples: [R, P], [R, S] -> [R].

        A label with neither gold nor predictions in a resample counts as zero, as in metrics.score.
        """
        weights = drawn.astype(np.float32)
        gold = weights @ self.gold  # [R, K]
        total = np.zeros(len(drawn))
        for seed, (predicted, hits) in enumerate(zip(self.predicted, self.hits, strict=True)):
            size = gold + weights @ predicted
            f1 = 2 * (weights @ hits) / np.maximum(size, 1)
            total += seeds[:, seed] * f1.mean(axis=1)
        return np.asarray(total / seeds.sum(axis=1))
