"""Transfer scores, against their definitions and against numerical optimisation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from ctkd_cli.distillation.transfer import h_score, hint, judged, leep_gain, logme, nce

GENERATOR = np.random.default_rng(0)


def test_leep_gain_by_hand() -> None:
    """Two examples of each of two labels: each fold holds one of each, so an example is judged by
    the counts of two others. Source label 0 is said of label 0 with certainty, 1 of label 1."""
    probabilities = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    gold = np.array([0, 0, 1, 1])
    # left out one of each: counts [[1, 0], [0, 1]], prior (1 + 1) / (2 + 2) = 1/2 for each label
    given = (1 + 0.1 * 0.5) / (1 + 0.1)
    assert leep_gain(probabilities, gold, 2) == pytest.approx(np.log(given / 0.5))


def test_a_teacher_that_says_the_same_of_all_gains_nothing() -> None:
    gold = np.arange(30) % 3
    assert leep_gain(np.full((30, 4), 0.25), gold, 3) == pytest.approx(0, abs=1e-9)


def test_noise_gains_nothing_and_is_told_from_a_signal() -> None:
    gold = np.arange(60) % 3
    noise = hint(3 * GENERATOR.normal(size=(60, 5)), GENERATOR.normal(size=(60, 8)), gold, 3)
    assert noise.leep_gain < 0.05  # cross-validated: in-sample LEEP would be well above 0
    assert not noise.promising
    signal = hint(4 * np.eye(5)[gold], GENERATOR.normal(size=(60, 8)), gold, 3)
    assert signal.promising
    assert signal.p_value == pytest.approx(1 / 201)
    assert signal.leep_gain > signal.null


def test_nce_by_hand() -> None:
    # z=0: y 0, 0, 1; z=1: y 1 -> -(3/4) H(1/3)
    entropy = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert nce(np.array([5, 5, 5, 9]), np.array([0, 0, 1, 1])) == pytest.approx(-0.75 * entropy)


def test_h_score_is_a_matrix_product() -> None:
    """With the shrinkage that scikit-learn finds; a public reference multiplies elementwise."""
    gold = np.arange(40) % 2
    features = GENERATOR.normal(size=(40, 6)) + 2 * gold[:, None]
    centred = features - features.mean(0)
    covariance, shrinkage = ledoit_wolf(centred, assume_centered=True)
    means = np.stack([centred[gold == label].mean(0) for label in gold])
    expected = np.trace(np.linalg.pinv(covariance) @ np.cov(means.T, bias=True))
    assert h_score(features, gold) == pytest.approx((1 - shrinkage) * expected)


@pytest.mark.parametrize("shape", [(30, 5), (12, 40)])
def test_logme_is_the_maximal_evidence(shape: tuple[int, int]) -> None:
    """Against scipy's optimiser on the marginal likelihood N(y; 0, I/beta + h h^t / alpha)."""
    n = shape[0]
    gold = np.arange(n) % 2
    features = GENERATOR.normal(size=shape)
    features[:, 0] += 2 * gold
    found = []
    for label in (0, 1):
        y = (gold == label).astype(float)

        def negative(log: np.ndarray, y: np.ndarray = y) -> float:
            alpha, beta = np.exp(log)
            covariance = np.eye(n) / beta + features @ features.T / alpha
            return float(-multivariate_normal(np.zeros(n), covariance).logpdf(y) / n)

        best = min(
            minimize(negative, start, method="Nelder-Mead", options={"xatol": 1e-6}).fun
            for start in ([0.0, 0.0], [3.0, 1.0])
        )
        found.append(-best)
    assert logme(features, gold) == pytest.approx(np.mean(found), abs=1e-3)


@pytest.mark.parametrize("features", [np.zeros((8, 5)), np.ones((8, 5))])
def test_features_that_say_nothing(features: np.ndarray) -> None:
    found = hint(np.zeros((8, 3)), features, np.arange(8) % 2, 2)
    assert np.isfinite([found.leep_gain, found.logme, found.h_score, found.nce]).all()
    assert found.h_score == pytest.approx(0)
    assert not found.promising


def test_whether_the_hint_was_right() -> None:
    gold = np.arange(60) % 3
    features = GENERATOR.normal(size=(60, 8))
    good = hint(4 * np.eye(5)[gold], features, gold, 3)
    bad = hint(np.zeros((60, 5)), features, gold, 3)
    assert judged([good], "helped").startswith("The hint was right")
    assert judged([good], "hurt").startswith("The hint was wrong")
    assert judged([bad], "helped").startswith("The hint was wrong")
    assert judged([bad], "open").startswith("The hint was right")
    assert judged([bad, good], "open").startswith("The hint was wrong")
