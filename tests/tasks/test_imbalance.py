"""Class weights: scikit-learn's, and torch's mean with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from ctkd_cli.tasks.imbalance import class_weights
from ctkd_cli.tasks.kinds.text import Text

GOLD = np.array([0] * 12 + [1] * 3 + [3] * 5)  # label 2 has none


def test_balanced_is_scikit_learns() -> None:
    found = class_weights(GOLD, 4, "balanced")
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=GOLD)
    assert found is not None
    np.testing.assert_allclose(found[[0, 1, 3]], expected)
    assert found[2] == 1.0


def test_the_root_is_between_and_means_one() -> None:
    found = class_weights(GOLD, 4, "sqrt")
    assert found is not None
    np.testing.assert_allclose(found[1] / found[0], 2.0)  # the root of 12 / 3
    np.testing.assert_allclose(found[GOLD].mean(), 1.0)


@pytest.mark.parametrize(
    ("counts", "weighed"), [([12, 4], False), ([13, 4], True), ([9], False), ([5, 0, 5], False)]
)
def test_auto_weighs_what_is_skewed(counts: list[int], weighed: bool) -> None:
    gold = np.repeat(np.arange(len(counts)), counts)
    found = class_weights(gold, len(counts), "auto")
    assert (found is not None) is weighed
    assert class_weights(gold, len(counts), "none") is None


def test_cross_entropy_is_torchs_weighted_mean() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 3.0]], dtype=torch.float64)
    labels, weights = torch.tensor([0, 1, -1]), torch.tensor([0.5, 2.0])
    found = Text().loss(logits, labels, 0.0, weights)
    first, second = (float(-torch.log_softmax(logits, 1)[place, place]) for place in (0, 1))
    assert float(found) == pytest.approx((0.5 * first + 2.0 * second) / 2.5)
