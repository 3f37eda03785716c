"""Scores against hand-made numbers and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from ctkd_cli.evaluation.metrics import (
    brier,
    expected_calibration_error,
    fidelity,
    reliability,
    score,
)


def test_ece_by_hand() -> None:
    # Bins of width 1/15: .6 lies in (8/15, 9/15], .95 and .99 in the last one.
    probabilities = np.array([[0.6, 0.4], [0.4, 0.6], [0.95, 0.05], [0.01, 0.99]])
    gold = np.array([0, 0, 0, 1])
    # bin of .6: accuracy 1/2, confidence .6, share 1/2; last bin: accuracy 1, confidence .97
    assert expected_calibration_error(probabilities, gold) == pytest.approx(0.5 * 0.1 + 0.5 * 0.03)
    bins = reliability(probabilities, gold)
    np.testing.assert_allclose(bins, [(0.6, 0.5, 0.5), (0.97, 1.0, 0.5)])


def test_a_perfectly_sure_and_right_model_is_calibrated() -> None:
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0


def test_brier_is_twice_scikit_learns_binary_one() -> None:
    generator = np.random.default_rng(0)
    p, gold = generator.random(50), generator.integers(0, 2, 50)
    ours = brier(np.stack([1 - p, p], axis=1), gold)
    assert ours == pytest.approx(2 * brier_score_loss(gold, p))


def test_scores_by_hand() -> None:
    # gold a a b b, predicted a b b b: a: precision 1, recall 1/2, F1 2/3; b: 2/3, 1, F1 4/5
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]])
    scores = score(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), probabilities)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores["accuracy"] == 0.75
    assert scores["nll"] == pytest.approx(-np.log([0.8, 0.4, 0.7, 0.9]).mean())


def test_a_label_that_nobody_has_counts_as_zero() -> None:
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    scores = score(np.array([0, 1]), np.array([0, 1]), probabilities)
    assert scores["macro_f1"] == pytest.approx(2 / 3)


def test_fidelity_by_hand() -> None:
    teacher = np.array([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]])
    student = np.array([[0.25, 0.5, 0.25], [0.9, 0.1, 0.0]])
    found = fidelity(teacher, student)
    # A tie goes to the first label; KL of the first example: 0.5 log 2 + 0.5 log 1.
    assert found["teacher_agreement"] == 0.5
    assert found["teacher_kl"] == pytest.approx(0.5 * np.log(2) / 2)
