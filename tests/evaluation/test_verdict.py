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
from ctkd_cli.evaluation.verdict import NAMES, reach
from ctkd_cli.tasks.metric import MACRO_F1

GOLD = np.arange(60) % 2


def wrong_on(n: int) -> np.ndarray:
    """Predictions that miss the first n examples."""
    return np.where(np.arange(60) < n, 1 - GOLD, GOLD)


COSTS = {
    "teacher": {"parameters": 22.7e6, "throughput": 100.0},
    "student": {"parameters": 17.4e6, "throughput": 200.0},
}


def results(
    costs: dict[str, Any] = COSTS, own: dict[str, Any] | None = None, **mistakes: list[int]
) -> Any:
    """What `reach` asks of a run: each arm's number of mistakes, one per seed. costs: of the two
    models, as measured; own: of arms that are neither."""
    said = {arm: np.stack([wrong_on(n) for n in each]) for arm, each in mistakes.items()}
    return SimpleNamespace(
        controls=[arm for arm in said if arm not in ("teacher", "distilled")],
        efficiency=costs,
        models={role: {"parameters": n} for role, n in (("teacher", 22.7e6), ("student", 17.4e6))},
        own_costs=own or {},
        metric=MACRO_F1,
        several=False,
        groups=lambda: None,
        steps={},
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
    """As good as alone, and another does better: nothing was hurt."""
    verdict = reach(results(alone=[20], stilts=[2], distilled=[20]))
    assert (verdict.control, verdict.outcome) == ("stilts", "beaten")
    assert "hurt" not in verdict.sentence
    assert verdict.sentence.endswith(
        " Take the student fine-tuned on the source first (STILTs) instead."
    )
    hurt = reach(results(alone=[10], stilts=[2], distilled=[40]))
    assert hurt.outcome == "hurt"
    assert "over student alone -0.500" in hurt.sentence  # 1 - 40/60 against 1 - 10/60


@pytest.mark.parametrize(
    ("mistakes", "control", "outcome", "dearer"),
    [
        # What costs a teacher is no rival of the student's, however good.
        ({"alone": 20, "probe": 2, "untuned": 4, "distilled": 20}, "alone", "open",
         ["probe", "untuned"]),
        ({"alone": 20, "untuned": 2, "distilled": 4}, "alone", "helped", ["untuned"]),
        ({"alone": 20, "untuned": 8, "distilled": 4}, "alone", "helped", []),
        # What costs as much or less is.
        ({"alone": 20, "cut_body": 2, "distilled": 20}, "cut_body", "beaten", []),
        ({"alone": 20, "tfidf": 2, "distilled": 20}, "tfidf", "beaten", []),
        ({"alone": 2, "tfidf": 20, "distilled": 20}, "alone", "hurt", []),
        ({"alone": 20, "setfit": 6, "setfit_teacher": 0, "distilled": 8}, "setfit", "open",
         ["setfit_teacher"]),
        ({"alone": 8, "tfidf": 8, "distilled": 8}, "alone", "open", []),
    ],
)  # fmt: skip
def test_like_is_compared_with_like(
    mistakes: dict[str, int], control: str, outcome: str, dearer: list[str]
) -> None:
    small = {"tfidf": {"parameters": 2_000, "throughput": 20_000.0}}
    verdict = reach(results(own=small, **{arm: [n] for arm, n in mistakes.items()}))
    assert (verdict.control, verdict.outcome) == (control, outcome)
    assert [each.arm for each in verdict.dearer] == dearer
    instead = outcome in ("hurt", "beaten")
    assert verdict.sentence.endswith(f"Take {NAMES[control]} instead.") is instead


def test_dearer_arms_come_second_with_what_they_cost() -> None:
    """22.7 M against 17.4 M parameters, 200 against 100 examples a second."""
    verdict = reach(results(alone=[20], untuned=[2], probe=[3], distilled=[8]))
    assert verdict.second == (
        "Dearer to use, and better: logistic regression on the teacher's untuned body with 0.967 "
        "(1.3 times the parameters, 2.0 times the time for an example); also a linear probe on the "
        f"teacher's features {f1_score(GOLD, wrong_on(3), average='macro'):.3f}."
    )
    unmeasured = reach(results(costs={}, alone=[20], untuned=[2], distilled=[8]))
    assert unmeasured.second.endswith("with 0.967 (1.3 times the parameters).")
    assert reach(results(alone=[20], untuned=[8], distilled=[8])).second == ""  # no better


@pytest.mark.parametrize(
    ("teacher", "dearer"),
    [
        ({"parameters": 17.41e6, "throughput": 190.0}, False),  # another head; as fast but for 5 %
        ({"parameters": 17.4e6, "throughput": 110.0}, False),  # 1.8 times: a busy moment does that
        ({"parameters": 17.4e6, "throughput": 90.0}, True),  # 2.2 times the time
        ({"parameters": 18.0e6, "throughput": 200.0}, True),  # 1.03 times the size
        ({"parameters": 9.0e6, "throughput": 300.0}, False),
        ({"parameters": 9.0e6, "throughput": 90.0}, True),  # smaller and slower
    ],
)
def test_size_and_time_both_count(teacher: dict[str, float], dearer: bool) -> None:
    given = {"student": COSTS["student"], "teacher": teacher}
    verdict = reach(results(costs=given, alone=[20], untuned=[2], distilled=[8]))
    assert verdict.control == ("alone" if dearer else "untuned")


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
