"""Which control the verdict compares with, and how it holds with several seeds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score
from teachers import counts

from ctkd_cli.evaluation.significance import bootstrap_gain, gain
from ctkd_cli.evaluation.verdict import reach
from ctkd_cli.tasks.metric import MACRO_F1

GOLD = np.arange(60) % 2


def wrong_on(n: int) -> np.ndarray:
    """Predictions that miss the first n examples."""
    return np.where(np.arange(60) < n, 1 - GOLD, GOLD)


def results(**mistakes: list[int]) -> Any:
    """What `reach` asks of a run: each arm's number of mistakes, one per seed."""
    said = {arm: np.stack([wrong_on(n) for n in each]) for arm, each in mistakes.items()}
    return SimpleNamespace(
        controls=[arm for arm in said if arm not in ("teacher", "distilled")],
        metric=MACRO_F1,
        several=False,
        groups=lambda: None,
        gold_rows=lambda: GOLD,
        predicted_rows=said.__getitem__,
        statistics=lambda arm: counts(GOLD, said[arm], 2),
        mean=lambda arm, metric: float(
            np.mean([f1_score(GOLD, row, average="macro") for row in said[arm]])
        ),
    )


def test_the_best_control_is_taken_never_the_teacher() -> None:
    verdict = reach(results(teacher=[0], alone=[20], stilts=[10], distilled=[4]))
    assert verdict.control == "stilts"
    # An even number of mistakes is shared evenly by two labels: macro-F1 = 1 - mistakes / 60.
    assert verdict.distilled == pytest.approx(1 - 4 / 60)
    assert verdict.gain.estimate == pytest.approx(6 / 60)
    assert verdict.outcome == "helped"


def test_ties_go_by_name() -> None:
    assert reach(results(probe=[10], alone=[10], distilled=[4])).control == "alone"


def test_negative_transfer_is_said() -> None:
    verdict = reach(results(alone=[2], distilled=[30]))
    assert "egative transfer" in verdict.sentence
    assert verdict.gain.high < 0


def test_one_seed_is_cautioned_and_has_mcnemars_p() -> None:
    one = reach(results(alone=[10], distilled=[4]))
    # The six examples that only the distilled student gets right.
    assert one.p_value == pytest.approx(stats.binomtest(6, 6).pvalue)
    assert "seeds=5" in one.caution
    two = reach(results(alone=[10, 12], distilled=[4, 6]))
    assert (two.p_value, two.caution, two.n_seeds) == (None, "", 2)


def test_less_than_another_control_is_no_harm() -> None:
    """As good as alone, and a probe does better: nothing was hurt."""
    verdict = reach(results(alone=[20], probe=[2], distilled=[20]))
    assert (verdict.control, verdict.outcome) == ("probe", "beaten")
    assert "hurt" not in verdict.sentence
    hurt = reach(results(alone=[10], probe=[2], distilled=[40]))
    assert hurt.outcome == "hurt"
    assert "over student alone -0.500" in hurt.sentence  # 1 - 40/60 against 1 - 10/60


def test_with_one_seed_mcnemar_must_agree() -> None:
    """Five examples more are right, none less: p = 2 / 2^5 > 0.05, whatever a bootstrap says."""
    verdict = reach(results(alone=[5], distilled=[0]))
    assert verdict.gain.low > 0
    assert verdict.p_value == pytest.approx(2 / 2**5)
    assert verdict.outcome == "open"
    why = "; but McNemar's test gives p = 0.062, and 0.05 is asked for."
    assert verdict.sentence.endswith(why)
    assert why[2:-1] not in reach(results(alone=[6], distilled=[5])).sentence  # around 0 anyhow
    assert reach(results(alone=[6], distilled=[0])).outcome == "helped"  # p = 2 / 2^6


def noisy(gold: np.ndarray, accuracy: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """[S, N] predictions for two labels; accuracy: [S]."""
    wrong = generator.random((len(accuracy), len(gold))) > accuracy[:, None]
    return np.where(wrong, 1 - gold, gold)


def test_several_seeds_agree_with_a_plain_hierarchical_bootstrap() -> None:
    """Written here with scikit-learn: seeds drawn first, then examples, the same for both arms."""
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 2, 120)
    first = noisy(gold, np.array([0.9, 0.8, 0.95]), generator)
    second = noisy(gold, np.array([0.7, 0.75, 0.8]), generator)
    gains = []
    for _ in range(500):
        rows = generator.integers(0, 120, 120)
        gains.append(
            np.mean(
                [
                    f1_score(gold[rows], first[seed][rows], average="macro")
                    - f1_score(gold[rows], second[seed][rows], average="macro")
                    for seed in generator.integers(0, 3, 3)
                ]
            )
        )
    ours = bootstrap_gain(MACRO_F1, counts(gold, first, 2), counts(gold, second, 2))
    assert (ours.low, ours.high) == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=0.025)


@pytest.mark.parametrize(("n_seeds", "n"), [(2, 2000), (3, 2000), (5, 200), (5, 2000)])
def test_without_a_true_gain_few_claims_are_made_where_seeds_differ(n_seeds: int, n: int) -> None:
    """200 simulated experiments, each arm's accuracy moving by 0.04 from seed to seed. Percentiles
    of the bootstrap alone would claim a gain in 17% of those with two seeds."""
    generator = np.random.default_rng(n_seeds * 1000 + n)
    claims = 0
    for _ in range(200):
        gold = generator.integers(0, 2, n)
        accuracy = np.clip(generator.normal(0.85, 0.04, (2, n_seeds)), 0.5, 0.99)
        arms = [noisy(gold, row, generator) for row in accuracy]
        claims += gain(MACRO_F1, *(counts(gold, arm, 2) for arm in arms), resamples=200).low > 0
    assert claims / 200 <= 0.07


def test_several_seeds_need_the_bootstrap_and_students_t() -> None:
    """Two seeds with gains 0.10 and 0.30: t with one degree of freedom leaves everything open."""
    second = np.stack([wrong_on(12), wrong_on(24)])
    first = np.stack([wrong_on(6), wrong_on(6)])
    low, high = stats.ttest_1samp([6 / 60, 18 / 60], 0).confidence_interval(0.95)
    found = gain(MACRO_F1, counts(GOLD, first, 2), counts(GOLD, second, 2))
    assert found.estimate == pytest.approx(0.2)
    assert found.low == pytest.approx(max(low, -1))
    assert found.high == pytest.approx(min(high, 1))
    assert bootstrap_gain(MACRO_F1, counts(GOLD, first, 2), counts(GOLD, second, 2)).low > 0


def test_a_true_gain_is_seen() -> None:
    generator = np.random.default_rng(5)
    gold = generator.integers(0, 2, 260)
    claims = 0
    for _ in range(100):
        first = noisy(gold, np.clip(generator.normal(0.95, 0.015, 5), 0, 1), generator)
        second = noisy(gold, np.clip(generator.normal(0.87, 0.04, 5), 0, 1), generator)
        claims += (
            gain(MACRO_F1, counts(gold, first, 2), counts(gold, second, 2), resamples=200).low > 0
        )
    assert claims >= 70
