"""hint and theta_marginal, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from ctkd_cli.distillation.losses.base import Sizes
from ctkd_cli.distillation.losses.hint import Hint, hint
from ctkd_cli.distillation.losses.theta_marginal import (
    ThetaMarginal,
    bridge_likelihood,
    theta_marginal,
)


def test_hint_by_hand() -> None:
    projected, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 2.0]])
    # squared error (0 + 4) / 2, energy (1 + 4) / 2
    assert hint(projected, teacher).mean().item() == pytest.approx(4 / 5)


def test_hint_does_not_depend_on_the_teachers_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    projected, teacher = torch.randn(2, 5, 4, generator=generator)
    small = hint(projected, teacher)
    assert hint(100 * projected, 100 * teacher).mean().item() == pytest.approx(
        small.mean().item(), rel=1e-5
    )


def test_hint_of_silent_teacher_is_finite() -> None:
    assert torch.isfinite(hint(torch.ones(1, 3), torch.zeros(1, 3)))


def test_the_projector_bridges_the_widths_and_trains() -> None:
    projector = Hint().projector(Sizes(3, 7, 2, 2))
    assert projector(torch.zeros(2, 3)).shape == (2, 7)
    assert all(parameter.requires_grad for parameter in projector.parameters())


def test_theta_marginal_is_the_printed_formula() -> None:
    generator = np.random.default_rng(1)
    logits, y = generator.normal(size=(4, 3)), softmax(generator.normal(size=(4, 3)), axis=1)
    expected = -np.log((softmax(logits, axis=1) * y).sum(axis=1)).mean()
    assert theta_marginal(torch.tensor(logits), torch.tensor(y)).mean().item() == pytest.approx(
        expected
    )


def test_theta_marginal_wants_one_hot_at_the_argmax() -> None:
    """The documented difference from soft cross-entropy: the minimum is not p = y."""
    y = torch.tensor([[0.5, 0.3, 0.2]])
    at_y = theta_marginal(y.log(), y)
    at_argmax = theta_marginal(torch.tensor([[50.0, 0.0, 0.0]]), y)
    assert at_argmax.mean().item() == pytest.approx(-np.log(0.5), abs=1e-6)
    assert at_y.mean().item() == pytest.approx(-np.log(0.25 + 0.09 + 0.04), abs=1e-6)
    assert at_argmax < at_y


def test_theta_marginal_learns_nothing_from_a_uniform_teacher() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    theta_marginal(logits, torch.full((3, 4), 0.25)).sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros(3, 4), atol=1e-7, rtol=0)


def test_bridge_likelihood_reads_gold_or_belief() -> None:
    label_map = torch.tensor([[0.9, 0.1], [0.2, 0.8]])  # P(y given k)
    mapped = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    got = bridge_likelihood(label_map, mapped, torch.tensor([1, -1]))
    torch.testing.assert_close(got, torch.tensor([[0.1, 0.8], [0.5, 0.5]]))


def test_theta_marginal_with_bridge_is_the_negative_leep_likelihood() -> None:
    """-log sum_k theta(x)_k P(y given k), LEEP's own log-likelihood."""
    p, label_map = np.array([[0.7, 0.3]]), np.array([[0.9, 0.1], [0.2, 0.8]])
    y = bridge_likelihood(torch.tensor(label_map), torch.zeros(1, 2, dtype=torch.float64),
                          torch.tensor([0]))  # fmt: skip
    got = theta_marginal(torch.tensor(np.log(p)), y)
    assert got.mean().item() == pytest.approx(-np.log(0.7 * 0.9 + 0.3 * 0.2))


def test_theta_marginal_freezes_the_head_and_trains_the_projector() -> None:
    from ctkd_cli.distillation.losses.base import StudentOutputs, TeacherOutputs

    loss = ThetaMarginal()
    projector = loss.projector(Sizes(3, 4, 2, 2))
    features = torch.randn(5, 3, requires_grad=True)
    head = torch.randn(2, 4)
    value = loss(
        StudentOutputs(torch.zeros(5, 2), features, torch.full((5,), -1)),
        TeacherOutputs(
            logits=torch.randn(5, 2),
            features=torch.randn(5, 4),
            head_weight=head,
            head_bias=torch.zeros(2),
            mapped=torch.full((5, 2), 0.5),
            mass=torch.ones(5),
            label_map=torch.eye(2),
            shared=torch.tensor([[0, 0], [1, 1]]),
            targets=torch.full((5, 2), 0.5),
        ),
        projector,
    )
    value.mean().backward()
    assert features.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in projector.parameters())
    assert head.grad is None
