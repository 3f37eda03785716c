"""Temperature scaling, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from ctkd_cli.evaluation.calibration import BOUNDS, fit_temperature, scaled


def test_an_overconfident_model_gets_the_temperature_that_makes_it_honest() -> None:
    """Right in 3 of 4 cases, always with logits (4, 0): honest at 1/(1 + exp(-4/T)) = 3/4, that is
    T = 4 / log 3."""
    logits = np.tile([4.0, 0.0], (40, 1))
    gold = np.arange(40) % 4 == 0
    assert fit_temperature(logits, gold.astype(int)) == pytest.approx(4 / np.log(3), rel=1e-3)


def test_without_errors_the_temperature_stays_in_bounds() -> None:
    logits = np.tile([1.0, 0.0], (8, 1))
    assert fit_temperature(logits, np.zeros(8, int)) == pytest.approx(BOUNDS[0], rel=0.01)


def test_scaling_probabilities_is_scaling_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 3)) * 5
    expected = softmax(logits / 2.5, axis=1)
    np.testing.assert_allclose(scaled(softmax(logits, axis=1), 2.5), expected, atol=1e-12)
