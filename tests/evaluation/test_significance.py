"""Intervals and tests against scipy, textbooks and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score
from teachers import counts

from ctkd_cli.evaluation.significance import (
    bootstrap_gain,
    gain,
    holm,
    mcnemar,
    randomisation,
    t_interval,
)
from ctkd_cli.evaluation.verdict import Verdict
from ctkd_cli.tasks.metric import MACRO_F1, Metric


def test_t_interval_is_scipys() -> None:
    values = [0.1, 0.3, 0.2, 0.25]
    interval = t_interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.2125, low, high))


def test_one_value_has_no_interval() -> None:
    assert t_interval([0.5]).estimate == 0.5
    assert np.isnan(t_interval([0.5]).low)


def test_holm_by_hand() -> None:
    # sorted .01 .02 .04: 3 x .01, max(.03, 2 x .02), max(.04, .04)
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_mcnemar_is_the_binomial_test_on_the_discordant_pairs() -> None:
    gold = np.zeros(20, dtype=int)
    first, second = gold.copy(), gold.copy()
    first[:2] = 1
    second[2:11] = 1  # 2 against 9
    expected = 2 * sum(stats.binom.pmf(k, 11, 0.5) for k in range(3))
    assert mcnemar(gold, first, second) == pytest.approx(expected)
    assert mcnemar(gold, first, first) == 1.0


def noisy(gold: np.ndarray, accuracy: float, generator: np.random.Generator) -> np.ndarray:
    wrong = generator.random(gold.shape) > accuracy
    return np.where(wrong, (gold + 1) % 3, gold)


def test_the_observed_gain_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 3, 200)
    first = np.stack([noisy(gold, 0.8, generator) for _ in range(3)])
    second = np.stack([noisy(gold, 0.6, generator) for _ in range(3)])

    def mean_f1(predictions: np.ndarray) -> float:
        return float(np.mean([f1_score(gold, row, average="macro") for row in predictions]))

    gain = bootstrap_gain(MACRO_F1, counts(gold, first, 3), counts(gold, second, 3), resamples=200)
    assert gain.estimate == pytest.approx(mean_f1(first) - mean_f1(second))
    assert gain.low < gain.estimate < gain.high


def test_one_seed_agrees_with_a_plain_bootstrap_of_examples() -> None:
    """Written here with scikit-learn, one resample at a time."""
    generator = np.random.default_rng(1)
    gold = generator.integers(0, 3, 150)
    first, second = noisy(gold, 0.8, generator), noisy(gold, 0.7, generator)
    gains = []
    for _ in range(600):
        rows = generator.integers(0, 150, 150)
        scores = [f1_score(gold[rows], arm[rows], average="macro") for arm in (first, second)]
        gains.append(scores[0] - scores[1])
    ours = bootstrap_gain(MACRO_F1, counts(gold, first[None], 3), counts(gold, second[None], 3))
    assert (ours.low, ours.high) == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=0.02)


def test_equal_arms_have_no_gain() -> None:
    gold = np.arange(30) % 3
    gain = bootstrap_gain(
        MACRO_F1, counts(gold, gold[None], 3), counts(gold, gold[None], 3), resamples=100
    )
    assert (gain.estimate, gain.low, gain.high) == (0, 0, 0)


def test_a_label_nobody_has_counts_as_in_the_scores() -> None:
    gold = np.array([0, 1] * 30)
    first, second = gold.copy(), gold.copy()
    second[:10] = 2
    f1 = [f1_score(gold, arm, labels=range(3), average="macro", zero_division=0)
          for arm in (first, second)]  # fmt: skip
    gain = bootstrap_gain(
        MACRO_F1, counts(gold, first[None], 3), counts(gold, second[None], 3), resamples=100
    )
    assert gain.estimate == pytest.approx(f1[0] - f1[1])


def test_arms_with_other_seeds_are_not_compared() -> None:
    gold = np.arange(30) % 3
    with pytest.raises(ValueError, match="unpaired"):
        bootstrap_gain(
            MACRO_F1,
            counts(gold, np.stack([gold, gold]), 3),
            counts(gold, gold[None], 3),
            resamples=100,
        )


def test_without_a_true_gain_few_claims_are_made() -> None:
    """200 simulated experiments with one seed: `helped` is the claim of a gain, one-sided 2.5%."""
    generator = np.random.default_rng(2)
    claims = 0
    for _ in range(200):
        gold = generator.integers(0, 3, 200)
        arms = [noisy(gold, 0.8, generator)[None] for _ in range(2)]
        seed = int(generator.integers(2**31))
        gain = bootstrap_gain(
            MACRO_F1, *(counts(gold, arm, 3) for arm in arms), resamples=400, random_state=seed
        )
        claims += gain.low > 0
    assert claims / 200 <= 0.07


@pytest.mark.parametrize(
    ("low", "high", "outcome", "opening"),
    [
        (0.01, 0.05, "helped", "Distillation helped"),
        (-0.01, 0.05, "open", "No gain can be claimed"),
        (-0.05, -0.01, "hurt", "Negative transfer"),
    ],
)
def test_the_verdict_says_what_the_interval_says(
    low: float, high: float, outcome: str, opening: str
) -> None:
    from ctkd_cli.evaluation.significance import Interval

    gain = Interval((low + high) / 2, low, high)
    verdict = Verdict("alone", 0.9, 0.8, gain, n_seeds=5, p_value=None)
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(opening)
    assert verdict.caution == ""
    one = Verdict("alone", 0.9, 0.8, gain, n_seeds=1, p_value=None)
    assert one.sentence.startswith("With this seed, ") == (outcome != "open")
    assert "One seed" in one.caution


def test_randomisation_by_hand() -> None:
    """Four examples, of which the first model has two right that the second has wrong: of the four
    ways of exchanging these, two give a difference as large (both or none)."""
    accuracy = Metric("accuracy", "accuracy", lambda totals: totals[:, 0] / 4)
    first, second = np.array([[1.0], [1], [1], [0]]), np.array([[0.0], [0], [1], [0]])
    assert randomisation(accuracy, first, second) == pytest.approx(0.5, abs=0.02)
    assert randomisation(accuracy, first, first) == 1
    # As one group they are exchanged together, and every exchange is as large.
    together = np.zeros(4, np.int64)
    assert randomisation(accuracy, first, second, together) == 1


def test_randomisation_agrees_with_scipys_permutation_test() -> None:
    generator = np.random.default_rng(3)
    first, second = generator.random((40, 1)) + 0.1, generator.random((40, 1))
    mean = Metric("mean", "mean", lambda totals: totals[:, 0] / 40)
    by_scipy = stats.permutation_test(
        (first[:, 0], second[:, 0]), lambda a, b: a.mean() - b.mean(), permutation_type="samples",
        n_resamples=9999, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert randomisation(mean, first, second) == pytest.approx(by_scipy.pvalue, abs=0.02)


def test_groups_are_drawn_whole() -> None:
    """Ten copies of each of 12 examples are no more evidence than the 12."""
    generator = np.random.default_rng(4)
    gold = generator.integers(0, 2, 12)
    first, second = gold[None], np.where(generator.random((1, 12)) < 0.3, 1 - gold, gold)
    few = bootstrap_gain(MACRO_F1, counts(gold, first, 2), counts(gold, second, 2))
    many = [np.repeat(each, 10, axis=-1) for each in (first, second)]
    arms = [counts(np.repeat(gold, 10), each, 2) for each in many]
    grouped = bootstrap_gain(MACRO_F1, *arms, groups=np.repeat(np.arange(12), 10))
    assert grouped.low == pytest.approx(few.low, abs=0.02)
    assert bootstrap_gain(MACRO_F1, *arms).low > few.low + 0.03


def test_less_may_be_better() -> None:
    error = Metric("error", "error", lambda totals: totals[:, 0] / 20, higher_is_better=False)
    first, second = np.zeros((2, 20, 1)), np.ones((2, 20, 1))
    found = gain(error, first, second)
    assert (found.estimate, found.low, found.high) == (1, 1, 1)
