"""Scores against hand-made numbers and scikit-learn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import brier_score_loss

from ctkd_cli.evaluation.metrics import (
    Answers,
    brier,
    confidence_scores,
    expected_calibration_error,
    fidelity,
    reliability,
    score,
)
from ctkd_cli.tasks.kinds.base import SURE
from ctkd_cli.tasks.kinds.text import Text


def test_ece_by_hand() -> None:
    # Bins of width 1/15: .6 lies in (8/15, 9/15], .95 and .99 in the last one.
    sure = np.array([0.6, 0.6, 0.95, 0.99])
    right = np.array([True, False, True, True])
    # bin of .6: accuracy 1/2, confidence .6, share 1/2; last bin: accuracy 1, confidence .97
    assert expected_calibration_error(sure, right) == pytest.approx(0.5 * 0.1 + 0.5 * 0.03)
    np.testing.assert_allclose(reliability(sure, right), [(0.6, 0.5, 0.5), (0.97, 1.0, 0.5)])


def test_a_perfectly_sure_and_right_model_is_calibrated() -> None:
    assert expected_calibration_error(np.ones(3), np.ones(3, dtype=bool)) == 0


def test_brier_is_twice_scikit_learns_binary_one() -> None:
    generator = np.random.default_rng(0)
    p, gold = generator.random(50), generator.integers(0, 2, 50)
    ours = brier(np.stack([1 - p, p], axis=1), gold)
    assert ours == pytest.approx(2 * brier_score_loss(gold, p))


def scores_of(gold: str, predicted: str, labels: str) -> dict[str, float]:
    return score(Text(), list(labels), pa.array([*gold]), pa.array([*predicted]))


def test_scores_by_hand() -> None:
    # gold a a b b, predicted a b b b: a: precision 1, recall 1/2, F1 2/3; b: 2/3, 1, F1 4/5
    scores = scores_of("aabb", "abbb", "ab")
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores["weighted_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores["accuracy"] == 0.75


def test_confidence_by_hand() -> None:
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]])
    table = {"gold": [*"aabb"], "predicted": [*"abbb"]}
    table |= {f"p({label})": probabilities[:, k] for k, label in enumerate("ab")}
    found = confidence_scores(Answers.of(pa.table(table), ["a", "b"]))
    assert found["nll"] == pytest.approx(-np.log([0.8, 0.4, 0.7, 0.9]).mean())


def test_a_label_that_nobody_has_counts_as_zero() -> None:
    assert scores_of("ab", "ab", "abc")["macro_f1"] == pytest.approx(2 / 3)


def test_answers_with_several_positions_by_hand() -> None:
    """Two sentences; a word without a label counts nowhere. Right: x x, wrong: one y for x."""
    gold = [["x", None], ["x", "y", "x"]]
    predicted = [["x", "y"], ["x", "y", "y"]]
    sure = [[0.9, 0.5], [0.9, 0.6, 0.7]]
    kind, labels = Text(), ["x", "y"]
    columns = {"gold": pa.array(gold), "predicted": pa.array(predicted), SURE: pa.array(sure)}
    found = score(kind, labels, columns["gold"], columns["predicted"])
    assert found["accuracy"] == 0.75
    # x: 2 of 3 found, all right: F1 4/5; y: 1 of 1 found, 1 of 2 right: F1 2/3
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    statistics = kind.statistics(columns["gold"], columns["predicted"], labels)
    np.testing.assert_array_equal(statistics, [[1, 0, 1, 0, 1, 0], [2, 1, 1, 2, 1, 1]])
    answers = Answers.of(pa.table(columns), labels)
    assert answers.worst(5) == [1]
    # ECE: bin of .9 right twice, of .6 right, of .7 wrong
    expected = (2 * 0.1 + 0.4 + 0.7) / 4
    assert confidence_scores(answers) == {"ece": pytest.approx(expected)}


def test_fidelity_by_hand() -> None:
    def answers(probabilities: list[list[float]]) -> Answers:
        each = np.array(probabilities)
        best = each.argmax(axis=1)
        return Answers(np.array([0, 0]), best, each.max(axis=1), each, None)

    found = fidelity(
        answers([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]]), answers([[0.25, 0.5, 0.25], [0.9, 0.1, 0.0]])
    )
    # A tie goes to the first label; KL of the first example: 0.5 log 2 + 0.5 log 1.
    assert found["teacher_agreement"] == 0.5
    assert found["teacher_kl"] == pytest.approx(0.5 * np.log(2) / 2)
