"""Temperature scaling, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from ctkd_cli.evaluation.calibration import BOUNDS, fit_temperature, scaled, validated_temperature


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


def overconfident(n: int, wrong: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (4, 0) for n examples, of which some are of the other label."""
    return np.tile([4.0, 0.0], (n, 1)), (np.arange(n) < wrong).astype(int), np.arange(n)


def test_a_temperature_needs_examples_and_errors() -> None:
    """10 wrong of 40: honest at 1 / (1 + exp(-4/T)) = 3/4, as above."""
    assert validated_temperature(*overconfident(40, 10)) == pytest.approx(4 / np.log(3), rel=1e-3)
    assert validated_temperature(*overconfident(29, 10)) is None
    assert validated_temperature(*overconfident(40, 4)) is None
    assert validated_temperature(*overconfident(5, 0)) is None  # as a user met it: T = 0.05
    assert validated_temperature(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, int)) is None


def test_positions_of_one_example_are_no_examples() -> None:
    """40 positions, 10 of them wrong, of 8 sentences."""
    logits, gold, positions = overconfident(40, 10)
    assert validated_temperature(logits, gold, positions // 5) is None


def test_what_makes_validation_worse_is_no_temperature() -> None:
    """Honest as they are: 3 of 4 right at log 3, where any other temperature is worse."""
    honest = np.tile([np.log(3), 0.0], (40, 1))
    gold = (np.arange(40) % 4 == 0).astype(int)
    assert fit_temperature(honest, gold) == pytest.approx(1, rel=1e-3)
    assert validated_temperature(honest, gold, np.arange(40)) is None
