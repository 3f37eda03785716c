"""Pairs: which are drawn, and what they cost, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ctkd_cli.training.contrastive import pair_loss, plan_of_pairs


def test_the_loss_of_three_examples() -> None:
    """Two of one label at 60 degrees (cosine 0.5), one of another at right angles to the first
    and at cos 30 = 0.866 to the second: lengths do not matter."""
    features = torch.tensor([[2.0, 0.0], [0.5, 3**0.5 / 2], [0.0, 7.0]])
    found = pair_loss(features, torch.tensor([0, 0, 1]))
    near, far = (0.5 - 1) ** 2, (0.0 + 0.75) / 2
    assert found.item() == pytest.approx((near + far) / 2, abs=1e-6)


def test_features_of_one_label_meet_and_others_part() -> None:
    torch.manual_seed(0)
    features = torch.nn.Parameter(torch.randn(6, 4))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    optimiser = torch.optim.Adam([features], lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        pair_loss(features, labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    unit = torch.nn.functional.normalize(features.detach(), dim=1)
    expected = (labels[:, None] == labels[None, :]).float()
    torch.testing.assert_close(unit @ unit.T, expected, atol=0.02, rtol=0)


def test_everyone_has_a_partner_of_its_own_label() -> None:
    gold = np.array([0] * 20 + [1] * 3 + [2])
    rows = np.arange(100, 124)  # where the labelled ones are
    plan = plan_of_pairs(gold, rows, steps=50, size=12, seed=1)
    assert plan.labelled.shape == (50, 12)
    assert plan.unlabelled.shape == (50, 0)
    label = gold[plan.labelled - 100]
    assert (label[:, 0::2] == label[:, 1::2]).all()
    same = plan.labelled[:, 0::2] == plan.labelled[:, 1::2]
    assert (same == (label[:, 0::2] == 2)).all(), "only what has no other is its own partner"
    assert np.bincount(label.ravel()).tolist() == [200, 200, 200], "labels have equal chances"
    again = plan_of_pairs(gold, rows, steps=50, size=12, seed=1)
    assert (again.labelled == plan.labelled).all()
